"""`onefold import`: users, attributes, events and purchases of files into a workspace."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.adapters import private_files, row_sources
from app.adapters.clock import now_us
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    opened_workspace,
    settings_for,
)
from app.cli.output import errors, out, show_table
from app.contract import rows
from app.contract.errors import RefusedError
from app.domain.ids import lasting
from app.services.caller import Caller
from app.services.imports import Import, OtherRunError, Report, Row, Way
from app.store.engine import Database

_STANDARD_INPUT: Final = Path("-")
#: After so long without anything applied it is said that nobody applies.
_SILENCE_SECONDS: Final = 10.0

Refuse = Callable[[Row, str], None]


def import_files(
    files: Annotated[list[Path], typer.Argument(help="NDJSON, JSON, CSV, gzip or zip of these; - is standard input.")],
    kind: Annotated[
        str | None, typer.Option("--kind", help=f"What rows are: one of {', '.join(rows.KINDS)}; else each row tells.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", exists=True, dir_okay=False, help="Of CSV: JSON, field to column.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Users of a file go before what is here; else they fill what is missing."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read everything, report, and write nothing.")] = False,
    error_file: Annotated[
        Path | None, typer.Option("--errors", help="NDJSON with file, line and reason of each row that was refused.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait until everything is applied.")] = True,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Import users as an export shows them, or objects of /users/track, from files of this or another installation.

    Each row is imported once: run it again after a failure, and it goes on where it ended. A file that was imported has
    nothing left to import.
    """
    if kind is not None and kind not in rows.KINDS:
        raise fail(f"--kind must be one of {', '.join(rows.KINDS)}.")
    way, most = Way(overwrite, kind, mapping_of(mapping)), settings_for(data_dir).max_import_files
    told = {"dry": dry_run, "retell": error_file is not None, "most_files": most}
    with opened_workspace(data_dir, workspace, "onefold import") as (database, caller), _refusing(error_file) as refuse:
        reports = [
            (str(file), _import(database, caller, file, way, refuse, told, wait=wait and not dry_run)) for file in files
        ]
    _show(reports, dry=dry_run)
    if any(report.refused for _, report in reports):
        raise typer.Exit(1)


def mapping_of(path: Path | None) -> rows.Mapped | None:
    """The mapping in a file. Ends the command where it is none."""
    if path is None:
        return None
    try:
        return rows.read_mapping(path.read_bytes())
    except RefusedError as refused:
        raise fail(f"{path.name}: {refused.message}.") from None


def _import(
    database: Database, caller: Caller, file: Path, way: Way, refuse: Refuse, told: dict[str, Any], *, wait: bool
) -> Report:
    try:
        with row_sources.seekable(None if file == _STANDARD_INPUT else file) as path:
            known_by = row_sources.digest(path, lasting(caller.workspace_secret), way.as_bytes())
            with _bar(file.name, _lines(path)) as (advance, waiting):
                run = Import(database, caller, known_by, way, now_us, refused=refuse, waiting=waiting, **told)
                for done in run.run(Row(*place) for place in row_sources.rows(path)):
                    advance(done)
                if wait:
                    run.wait()
    except row_sources.UnreadableFileError as error:
        raise fail(f"{file}: the file cannot be read ({error}). What came before is imported.") from None
    except OtherRunError:
        raise fail(f"{file}: somebody else is importing the same file.") from None
    except OSError as error:
        raise fail(f"{file}: {error.strerror}.") from None
    return run.report


def _lines(path: Path) -> int | None:
    """How many rows there are about, where the file says so at once."""
    with path.open("rb") as file:
        if file.read(2) in (b"\x1f\x8b", b"PK"):
            return None
        file.seek(0)
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b"")) or None


@contextmanager
def progress(name: str, path: Path) -> Iterator[Callable[[int], None]]:
    """A bar that is told how many rows of a file are done."""
    with _bar(name, _lines(path)) as (advance, _):
        yield advance


@contextmanager
def _bar(name: str, total: int | None) -> Iterator[tuple[Callable[[int], None], Callable[[float], None]]]:
    """A bar on standard error where that is a terminal: (how many rows are done, for how long nothing was applied)."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    told = False
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(name, total=total)

        def waiting(seconds: float) -> None:
            nonlocal told
            if seconds > _SILENCE_SECONDS and not told:
                told = True
                errors.print("Nothing is applied: is a worker running? Waiting for it.", highlight=False)

        yield lambda done: bar.update(task, completed=done), waiting


@contextmanager
def _refusing(path: Path | None) -> Iterator[Refuse]:
    """Where rows go that were refused: into a file that only its owner reads, or the first of them to the terminal."""
    if path is None:
        shown = 0

        def show(row: Row, why: str) -> None:
            nonlocal shown
            shown += 1
            if shown <= _SHOWN:
                errors.print(f"{row.file}:{row.line}: {why}", highlight=False, markup=False, soft_wrap=True)
            elif shown == _SHOWN + 1:
                errors.print("…: --errors FILE lists all of them.", highlight=False)

        yield show
        return
    with private_files.replacing(path) as file:

        def write(row: Row, why: str) -> None:
            file.write(json.dumps({"file": row.file, "line": row.line, "reason": why}) + "\n")

        yield write


#: Refused rows that are shown where no file takes them.
_SHOWN: Final = 20
#: Fields that are shown of those that were left out.
_FIELDS_SHOWN: Final = 20


def _show(reports: list[tuple[str, Report]], *, dry: bool) -> None:
    table = Table("file", *rows.KINDS, "refused", *(("known users",) if dry else ("imported before",)))
    for name, report in reports:
        last = report.known if dry else report.before
        table.add_row(name, *(str(report.taken[kind]) for kind in rows.KINDS), str(report.refused), str(last))
    show_table(table)
    for name, report in reports:
        for (field, why), count in report.ignored.most_common(_FIELDS_SHOWN):
            out.print(f"{name}: {field} left out of {count} users ({why})", highlight=False, markup=False)
