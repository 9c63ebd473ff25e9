"""`onefold requests`: what became of an accepted request."""

from typing import Annotated

import typer
from rich.table import Table

from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.cli.keys import workspace_id
from app.contract import request_id
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.store import dead_letters, lane, workspaces
from app.store.inbox import log as inbox

app = typer.Typer(help="Accepted requests.", no_args_is_help=True)


@app.command("show")
def show(
    identifier: Annotated[str, typer.Argument(help="The X-Request-Id of an accepted request.")],
    workspace: Annotated[str, typer.Option("--workspace")] = "default",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Where a request stands, and what of it was skipped and why."""
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        place = request_id.read(workspaces.secret(database, number), number, identifier)
        if place is None:
            raise fail("This workspace never gave that request id.")
        stream, seq = place
        with database.read(database.inbox) as connection:
            accepted = inbox.accepted_us(connection, number, stream, seq)
        with database.read() as connection:
            found = lane.read(connection, number)
            applied = found is not None and found.cursors[stream] >= seq
            letter = dead_letters.get(connection, number, stream, seq)
            problems = lane.problems(connection, number, stream, seq)
    status = "queued" if not applied else "applied" if letter is None else f"dead ({letter.reason})"
    out.print(f"request {seq} of stream {STREAM_NAMES[stream]}: {status}", highlight=False)
    out.print(f"accepted {times.iso(accepted) if accepted is not None else 'longer ago than the inbox goes back'}")
    if problems:
        table = Table("array", "index", "field", "skipped because")
        for array, index, field, reason in problems:
            table.add_row(array, str(index), field, reason)
        out.print(table)
