"""What one drain did: counts, shown in Flower and added to the metrics."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from app.domain.changes import Counts
from app.domain.profile import Problem


@dataclass(slots=True)
class Summary:
    """What one drain did."""

    requests: int = 0
    counts: Counts = field(default_factory=Counts)
    dead: int = 0
    batches: int = 0
    #: Of these, batches that were applied while the one before was being written.
    flowed: int = 0
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

    def told(self) -> str:
        """What was done, in words: what Flower shows of a task."""
        if self.busy:
            return "another worker has the lane"
        counts = {name: number for name, number in asdict(self.counts).items() if number and name != "skipped"}
        parts = [f"{self.requests} requests", *(f"{number} {name}" for name, number in counts.items())]
        parts += [f"{number} skipped: {reason}" for reason, number in self.skipped_by_reason.items()]
        parts += [f"{self.dead} dead"] if self.dead else []
        parts += ["more to do"] if self.behind else []
        return f"{', '.join(parts)} in {self.ms} ms, {self.lag_ms} ms after the first was accepted"

    def as_dict(self) -> dict[str, object]:
        """All counts side by side."""
        shown = asdict(self)
        return {**shown.pop("counts"), **shown}
