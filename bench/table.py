"""The table at the end, and failing."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

console = Console(width=150)


class BenchError(Exception):
    """The run is worth nothing: an answer was not 201, a request is missing, or a profile is wrong."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `floor` is what the machine did at best on the same work in this run; None where nothing compares."""

    what: str
    ours: float
    unit: str
    floor: float | None = None
    notes: str = ""


class Rows:
    """The rows found so far. They are kept one by one, so that a failure takes none of those before it."""

    def __init__(self) -> None:
        self.found: list[Row] = []

    def take(self, rows: Iterable[Row]) -> None:
        """Raises BenchError for a figure that says that nothing happened, and whatever measuring raises."""
        for row in rows:
            if not row.ours > 0:
                raise BenchError(f"{row.what}: {row.ours:g} {row.unit}, so nothing was measured")
            self.found.append(row)


def show(rows: Sequence[Row], caption: str) -> None:
    table = Table(title="Onefold", caption=caption, caption_justify="left", title_justify="left")
    table.add_column("what", overflow="fold")
    for name in ("ours", "floor", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    table.add_column("notes", overflow="fold")
    for row in rows:
        floor, ratio = ("", "") if row.floor is None else (number(row.floor), f"{row.ours / row.floor:.2f}")
        table.add_row(row.what, number(row.ours), floor, ratio, row.unit, row.notes)
    console.print(table if rows else caption, highlight=False)


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def median(values: Sequence[float]) -> float:
    """The median; 0 for nothing."""
    return statistics.median(values) if values else 0.0


def say(text: str) -> None:
    """A line of progress."""
    console.print(text, highlight=False, markup=False)
