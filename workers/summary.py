"""What one drain did: counts, shown in Flower and added to the metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from app.domain.changes import Counts
from app.domain.profile import Problem


@dataclass(slots=True)
class Summary:
    """What one drain did. Shown in Flower."""

    requests: int = 0
    counts: Counts = field(default_factory=Counts)
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

    def add(self, counts: Counts, problems: Iterable[Problem], uncounted: Mapping[str, int]) -> None:
        """Count what a batch did. `uncounted`: by reason, what was applied to profiles and is counted nowhere."""
        self.counts.add(counts)
        for problem in problems:
            self.skipped_by_reason[problem.reason] = self.skipped_by_reason.get(problem.reason, 0) + 1
        for reason, number in uncounted.items():
            if number:
                self.skipped_by_reason[reason] = self.skipped_by_reason.get(reason, 0) + number

    def as_dict(self) -> dict[str, object]:
        """All counts side by side."""
        shown = asdict(self)
        return {**shown.pop("counts"), **shown}
