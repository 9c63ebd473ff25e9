"""What commands print: lists as tables, in which nothing is cut, or as JSON."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

errors = Console(stderr=True)
out = Console()

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
#: Wider than any table.
_ANY_WIDTH: Final = 1_000_000

Row = tuple[Sequence[str], Mapping[str, Any]]
"""One line of a list: its cells, and what stands for it in JSON."""


def show(document: object) -> None:
    """Print a JSON value."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2))


def show_list(columns: Sequence[str], rows: Iterable[Row], *, as_json: bool) -> None:
    """Print a list. Ids and permissions have to be copied from it, so no cell is ever cut."""
    if as_json:
        show([document for _, document in rows])
        return
    table = Table(*columns)
    for cells, _ in rows:
        table.add_row(*cells)
    show_table(table)


def show_table(table: Table) -> None:
    """Print a table as wide as it has to be. On a terminal the last column is wrapped between words, elsewhere none."""
    wide = Console(width=_ANY_WIDTH)
    width = Measurement.get(wide, wide.options, table).maximum
    if sys.stdout.isatty():
        *others, last = table.columns
        for column in others:
            column.no_wrap = True
        texts = [str(last.header), *(str(cell) for cell in last.cells)]
        most = max(len(text) for text in texts)
        least = max(len(word) for text in texts for word in ["", *text.split()])
        width = min(width, max(out.width, width - most + least))
    Console(width=width).print(table)
