"""The table at the end, in Markdown, so that it can be pasted as it is."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from fault.rounds import Scenario, Verdict

HEAD: Final = ("", "scenario", "store", "rounds", "seeds", "hits", "requests", "lag to 0, s", "verdict", "notes")


@dataclass(slots=True)
class Line:
    """What became of one scenario on one store. `skipped` says why it did not run."""

    scenario: Scenario
    store: str
    wanted: int
    verdicts: list[Verdict] = field(default_factory=list)
    skipped: str = ""

    @property
    def counted(self) -> int:
        return sum(verdict.counted for verdict in self.verdicts)

    @property
    def failed(self) -> bool:
        """Something differed, or the fault hit too seldom."""
        return not self.skipped and (any(not v.equal for v in self.verdicts) or self.counted < self.wanted)

    def cells(self) -> tuple[str, ...]:
        scenario, verdicts = self.scenario, self.verdicts
        first = (str(scenario.number), scenario.name, self.store)
        if self.skipped:
            return (*first, "", "", "", "", "", "skipped", self.skipped)
        seeds = f"{verdicts[0].seed}-{verdicts[-1].seed}" if verdicts else ""
        worst = max((verdict.lag for verdict in verdicts), default=0.0)
        names = dict.fromkeys(name for verdict in verdicts for name in verdict.notes)
        notes = [f"{name} <= {max(v.notes.get(name, 0.0) for v in verdicts):.3g}" for name in names]
        different = sum(not verdict.equal for verdict in verdicts)
        verdict = (
            f"DIFFERENT in {different}" if different else "EQUAL" if self.counted >= self.wanted else "TOO FEW HITS"
        )
        return (
            *first,
            f"{self.counted}/{len(verdicts)}",
            seeds,
            str(sum(verdict.hits for verdict in verdicts)),
            f"{sum(verdict.requests for verdict in verdicts):,}",
            f"{worst:.1f}",
            verdict,
            "; ".join([scenario.scaled] * bool(scenario.scaled) + notes),
        )


def table(rows: Sequence[tuple[str, ...]], head: Sequence[str] = HEAD) -> str:
    """Aligned Markdown."""
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def say(text: str) -> None:
    """A line of progress, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
