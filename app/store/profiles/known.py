"""What a worker knows of the rows of profiles that stay in its memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from app.domain.profile import Profile
from app.store.profiles.queries import ROW_FIELDS

#: Columns of a profile's row that nearly every command changes; and those that some do.
OFTEN: Final = ("updated_us", "updated_index", "size")
_NEVER: Final = ("pid", "braze_id", "created_us", "created_from", "random_bucket")
SELDOM: Final = tuple(name for name in ROW_FIELDS if name not in (*OFTEN, *_NEVER))

Seldom = tuple[Any, ...]
"""What the columns SELDOM of a profile's row hold."""

seldom: Final[Callable[[Profile], Seldom]] = attrgetter(*SELDOM)


@dataclass(slots=True)
class Known:
    """By number of profile, once the last batch is committed. Whoever writes a batch (save.writes) enters what it
    writes."""

    seldom: dict[int, Seldom] = field(default_factory=dict)
    #: How many values are inside arrays and objects of custom attributes: as many or more, since commas in texts count.
    inside: dict[int, int] = field(default_factory=dict)

    def forget(self, pid: int) -> None:
        """It is no more in memory."""
        self.seldom.pop(pid, None)
        self.inside.pop(pid, None)


def values_inside(document: bytes, members: int) -> int:
    """How many values are inside the arrays and objects of a JSON object with so many members, or more.

    Each value stands behind a comma or an opening bracket.
    """
    return max(0, len(document) - len(document.translate(None, b",[{")) - members)
