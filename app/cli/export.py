"""`onefold export`: users, events or purchases of a workspace into a file."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.adapters.clock import now_us
from app.adapters.row_files import FORMS, NDJSON, NoParquetError, form_of, writing
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import errors
from app.contract import portable
from app.contract import segment_requests as segment_contract
from app.contract.errors import RefusedError
from app.domain.segments.model import Definition
from app.services import segments, snapshots
from app.services.caller import Caller
from app.services.refusals import UnknownSegmentError
from app.store.engine import Database
from app.store.segments.compile import TooBroadError

_STANDARD_OUTPUT: Final = Path("-")
#: Rows between two looks at the bar.
_TOLD: Final = 250


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file; - is standard output.")],
    content: Annotated[str, typer.Option("--content", help=f"One of {', '.join(portable.CONTENTS)}.")] = portable.USERS,
    form: Annotated[
        str | None,
        typer.Option("--format", help=f"One of {', '.join(FORMS)}; by default what the file's name says."),
    ] = None,
    segment: Annotated[str | None, typer.Option("--segment", help="Id of a segment: its people alone.")] = None,
    fields: Annotated[
        str | None, typer.Option("--fields", help="Fields of users, with commas between them; by default all.")
    ] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write users, events or purchases of a workspace into a file, as they are at one instant.

    Names that end in .ndjson, .csv or .parquet say in which form, and .gz behind the first two compresses. Users of
    NDJSON are complete, and `onefold import` takes them in again.
    """
    if content not in portable.CONTENTS:
        raise fail(f"--content must be one of {', '.join(portable.CONTENTS)}.")
    if content != portable.USERS and (segment is not None or fields is not None):
        raise fail("--segment and --fields are for users.")
    named = _fields(fields)
    wanted_form = form or (NDJSON if output == _STANDARD_OUTPUT else form_of(output))
    if wanted_form not in FORMS:
        raise fail(f"--format must be one of {', '.join(FORMS)}.")
    columns = portable.COLUMNS[content]
    if named is not None:
        columns = {name: type_ for name, type_ in columns.items() if name in named}
    elif wanted_form != NDJSON and content == portable.USERS:
        named = frozenset(columns)  # tables have no column for the rest
    with opened_workspace(data_dir, workspace) as (database, caller):
        wanted = snapshots.Wanted(content, _segment(database, caller, segment), named)
        try:
            with (
                snapshots.reading(database, caller, wanted, now_us()) as (total, rows),
                writing(None if output == _STANDARD_OUTPUT else output, wanted_form, columns) as writer,
                _told(content, total) as told,
            ):
                for row in told(rows):
                    writer.write(row)
        except TooBroadError:
            raise fail(segment_contract.TOO_BROAD) from None
        except NoParquetError:
            raise fail("Parquet needs pyarrow: install onefold[parquet], or pyarrow itself.") from None
        except BrokenPipeError:  # whoever read it has enough
            sys.stderr.close()
            raise typer.Exit(1) from None
        except OSError as error:
            raise fail(f"The file cannot be written: {error.strerror}.") from None


def _fields(sent: str | None) -> frozenset[str] | None:
    if sent is None:
        return None
    named = frozenset(name.strip() for name in sent.split(",") if name.strip())
    if not named or portable.unknown(named):
        raise fail(f"--fields must be of: {', '.join(portable.COLUMNS[portable.USERS])}.")
    return named


def _segment(database: Database, caller: Caller, segment_id: str | None) -> Definition | None:
    if segment_id is None:
        return None
    try:
        with database.read() as connection:
            kept = segments.segment_of(connection, caller, segment_id)
            return segments.definition(connection, caller.workspace_id, kept.definition)
    except UnknownSegmentError:
        raise fail(segment_contract.UNKNOWN) from None
    except RefusedError as refused:
        raise fail(refused.message) from None


@contextmanager
def _told(content: str, total: int | None) -> Iterator[Callable[[Iterable[snapshots.Row]], Iterator[snapshots.Row]]]:
    """A bar on standard error, where that is a terminal, and at the end a line that says how many."""
    written = 0
    columns = (SpinnerColumn(), TextColumn(content), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        task = bar.add_task(content, total=total)

        def told(rows: Iterable[snapshots.Row]) -> Iterator[snapshots.Row]:
            nonlocal written
            for row in rows:
                yield row
                written += 1
                if written % _TOLD == 0:
                    bar.update(task, completed=written)

        yield told
    errors.print(f"{written} {content}", highlight=False)
