"""`onefold compare`: users of files of another system beside those of a workspace, field by field."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Final

import typer
from rich.table import Table

from app.adapters import private_files, row_sources
from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.imports import mapping_of, progress
from app.cli.output import AsJson, out, show_table
from app.services.comparing import Comparison, Difference, Report
from app.services.imports import Row

#: Fields that are shown: those that differ for most users.
_SHOWN: Final = 40


def compare(
    files: Annotated[list[Path], typer.Argument(help="As `onefold import` takes them; - is standard input.")],
    mapping: Annotated[
        Path | None, typer.Option("--mapping", exists=True, dir_okay=False, help="Of CSV: JSON, field to column.")
    ] = None,
    ignore: Annotated[
        str | None, typer.Option("--ignore", help="Fields that are not compared, with commas between them.")
    ] = None,
    differences: Annotated[
        Path | None, typer.Option("--differences", help="NDJSON with both values of each difference; it holds data.")
    ] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Compare users of Braze, or of another Onefold, with those of a workspace. Nothing is written there.

    Ends with status 1 when anything differs, somebody is not here, or a row cannot be read.
    """
    ignored = frozenset(name.strip() for name in (ignore or "").split(",") if name.strip())
    mapped = mapping_of(mapping)
    with opened_workspace(data_dir, workspace) as (database, caller), _telling(differences) as (differs, refused):
        comparison = Comparison(
            database, caller, now_us, mapped=mapped, ignored=ignored, differs=differs, refused=refused
        )
        for file in files:
            _go_through(comparison, file)
    _show(comparison.report, as_json=as_json)
    if not comparison.report.is_equal:
        raise typer.Exit(1)


def _go_through(comparison: Comparison, file: Path) -> None:
    try:
        with row_sources.seekable(None if str(file) == "-" else file) as path, progress(file.name, path) as advance:
            for done in comparison.run(Row(*place) for place in row_sources.rows(path)):
                advance(done)
    except row_sources.UnreadableFileError as error:
        raise fail(f"{file}: the file cannot be read ({error}).") from None
    except OSError as error:
        raise fail(f"{file}: {error.strerror}.") from None


@contextmanager
def _telling(path: Path | None) -> Iterator[tuple[Callable[[Difference], None], Callable[[Row, str], None]]]:
    """Where differences go, and rows without a user here: into a file that only its owner reads, or nowhere."""
    if path is None:
        yield lambda _difference: None, lambda _row, _why: None
        return
    with private_files.replacing(path) as file:
        yield lambda one: _write(file, _document(one)), lambda row, why: _write(file, _place(row) | {"reason": why})


def _write(file: IO[str], document: dict[str, object]) -> None:
    file.write(json.dumps(document) + "\n")


def _document(one: Difference) -> dict[str, object]:
    return _place(one.row) | {"field": one.field, "there": one.there, "here": one.here}


def _place(row: Row) -> dict[str, object]:
    return {"file": row.file, "line": row.line}


def _show(report: Report, *, as_json: bool) -> None:
    ordered = sorted(report.fields.items(), key=lambda one: (-one[1].differences, one[0]))
    if as_json:
        counts = {name: getattr(report, name) for name in ("compared", "different", "missing", "refused")}
        out.print_json(json.dumps(counts | {"fields": {name: asdict(one) for name, one in ordered}}))
        return
    table = Table("field", "same", "differ", "only in the file", "only here")
    for name, one in ordered[:_SHOWN]:
        table.add_row(name, *(str(count) for count in (one.same, one.differ, one.only_there, one.only_here)))
    show_table(table)
    if len(ordered) > _SHOWN:
        out.print(f"… and {len(ordered) - _SHOWN} more: --json lists all of them.", highlight=False)
    out.print(
        f"{report.compared} users compared, {report.different} of them differ; {report.missing} are not here,"
        f" {report.refused} rows cannot be read.",
        highlight=False,
    )
