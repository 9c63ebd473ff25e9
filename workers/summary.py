"""What one drain did: counts, shown in Flower and added to the metrics."""

from dataclasses import asdict, dataclass, field
from typing import Final

from app.domain.changes import Changes


@dataclass(slots=True)
class Summary:
    """What one drain did. Shown in Flower."""

    requests: int = 0
    attributes: int = 0
    events: int = 0
    purchases: int = 0
    identified: int = 0
    merged: int = 0
    #: Aliases added or changed.
    aliases: int = 0
    deleted: int = 0
    #: External ids renamed, and former ones removed.
    renamed: int = 0
    #: Profiles whose flags changed.
    flagged: int = 0
    skipped: int = 0
    ignored: int = 0
    dead: int = 0
    batches: int = 0
    #: Age of the oldest request when its batch was committed.
    lag_ms: int = 0
    ms: int = 0
    #: There was more to do when the lane yielded.
    behind: bool = False
    #: Another worker holds the lane.
    busy: bool = False
    skipped_by_reason: dict[str, int] = field(default_factory=dict)

    def add(self, changes: Changes) -> None:
        """Count what a batch did."""
        for name in _COUNTED:
            setattr(self, name, getattr(self, name) + getattr(changes.counts, name))
        for problem in changes.problems:
            self.skipped_by_reason[problem.reason] = self.skipped_by_reason.get(problem.reason, 0) + 1

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


_COUNTED: Final = (
    "attributes",
    "events",
    "purchases",
    "identified",
    "merged",
    "aliases",
    "deleted",
    "renamed",
    "flagged",
    "skipped",
    "ignored",
)
