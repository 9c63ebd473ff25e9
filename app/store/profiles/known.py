"""What a worker knows of a profile that stays in its memory."""

from collections.abc import Callable
from dataclasses import dataclass
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
    """Of one profile. Whoever writes it (save.writes) enters what it writes."""

    #: The columns of its row, once the last batch is committed.
    seldom: Seldom
    #: Which sections of it are in memory, as a bit mask.
    sections: int = 0
    #: What part of its size is in sections that are not, about.
    elsewhere: int = 0
    #: How many values are inside arrays and objects of custom attributes: as many or more, since commas in texts count.
    #: None: nobody has counted them.
    inside: int | None = None
    #: Bytes of memory that it takes, about; 0 = not weighed yet.
    weight: int = 0
    #: The number of the last batch that used it, or will.
    used: int = 0


def values_inside(document: bytes, members: int) -> int:
    """How many values are inside the arrays and objects of a JSON object with so many members, or more.

    Each value stands behind a comma or an opening bracket.
    """
    return max(0, len(document) - len(document.translate(None, b",[{")) - members)
