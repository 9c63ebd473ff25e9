"""Charts of counts by minute: what a page gives to console.js, and the same as a table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

#: Lines of a table beside a chart.
MOST_ROWS: Final = 60


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same minutes (since 1970)."""

    minutes: Sequence[int]
    #: In the order in which they are drawn.
    lines: Mapping[str, Sequence[int]]

    @property
    def values(self) -> str:
        """As JSON, for the attribute `data-values`."""
        lines = [{"label": label, "values": list(values)} for label, values in self.lines.items()]
        return json.dumps({"x": [minute * 60 for minute in self.minutes], "lines": lines})

    @property
    def rows(self) -> list[tuple[int, list[int]]]:
        """(microseconds, the value of each line) of minutes with any, the newest first."""
        found = [
            (minute * 60_000_000, [values[n] for values in self.lines.values()])
            for n, minute in enumerate(self.minutes)
            if any(values[n] for values in self.lines.values())
        ]
        return found[::-1][:MOST_ROWS]

    @property
    def total(self) -> int:
        return sum(sum(values) for values in self.lines.values())


def by_minute(first: int, last: int, counts: Iterable[tuple[int, str, int]], labels: Sequence[str]) -> Chart:
    """The chart of (minute, label, count), which are added up, from one minute to another."""
    lines = {label: [0] * (last - first + 1) for label in labels}
    for minute, label, count in counts:
        if first <= minute <= last:
            lines[label][minute - first] += count
    return Chart(range(first, last + 1), lines)
