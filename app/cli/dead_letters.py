"""`onefold dead`: requests that could not be applied."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.cli.keys import workspace_id
from app.contract import kinds, request_id
from app.contract.dead_letters import MAX_REPLAY, Filter, read_page
from app.contract.errors import RefusedError
from app.contract.stored import opened as opened_body
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services.dead_letters import DELETION_PENDING, chunks
from app.store import dead_letters, workspaces
from app.store.dead_letters import Letter
from app.store.engine import Database

app = typer.Typer(help="Requests that could not be applied, and sending them again.", no_args_is_help=True)

InWorkspace = Annotated[str, typer.Option("--workspace", help="Name of the workspace.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Class of the error.")]
Kind = Annotated[str | None, typer.Option("--kind", help=f"One of {', '.join(kinds.BY_NAME)}.")]
From = Annotated[str | None, typer.Option("--from", help="Accepted at this time or later.")]
To = Annotated[str | None, typer.Option("--to", help="Accepted before this time.")]
Id = Annotated[str, typer.Argument(help="The X-Request-Id of the request.")]


def _filter(reason: str | None, kind: str | None, from_: str | None, to: str | None) -> Filter:
    given = {"reason": reason, "kind": kind, "from": from_, "to": to}
    try:
        return read_page({name: value for name, value in given.items() if value is not None}).filter
    except RefusedError as refused:
        raise fail(refused.message) from None


def _find(database: Database, number: int, wanted: Filter, limit: int, *, sendable: bool = False) -> list[Letter]:
    with database.read() as connection:
        return dead_letters.find(connection, number, limit, now_us(), sendable=sendable, **asdict(wanted))


@app.command("list")
def list_letters(
    workspace: InWorkspace = "default",
    reason: Reason = None,
    kind: Kind = None,
    from_: From = None,
    to: To = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Requests that could not be applied, in the order of their acceptance."""
    wanted = _filter(reason, kind, from_, to)
    table = Table("request", "stream", "kind", "reason", "accepted", "bytes", "sent again as")
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        secret = workspaces.secret(database, number)
        for letter in _find(database, number, wanted, limit):
            again = letter.replayed_seq
            table.add_row(
                request_id.make(secret, number, letter.stream, letter.seq),
                STREAM_NAMES[letter.stream],
                kinds.name_of(letter.kind),
                letter.reason,
                times.iso(letter.accepted_us),
                str(letter.size) if letter.size else "gone",
                "-" if again is None else request_id.make(secret, number, letter.stream, again),
            )
    out.print(table)


@app.command("show")
def show(
    identifier: Id,
    workspace: InWorkspace = "default",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the body of a request that could not be applied, as it is stored. It may hold data of persons."""
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        place = request_id.read(workspaces.secret(database, number), number, identifier)
        with database.read() as connection:
            found = None if place is None else dead_letters.body(connection, number, *place)
    if found is None:
        raise fail("This workspace has no dead letter of that id with a body.")
    typer.echo(opened_body(found.codec, found.body)[2])


@app.command("replay")
def replay(
    identifiers: Annotated[list[str] | None, typer.Argument(help="X-Request-Ids.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the other options select.")] = False,
    workspace: InWorkspace = "default",
    reason: Reason = None,
    kind: Kind = None,
    from_: From = None,
    to: To = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send requests again that could not be applied, as new requests in the old order. Each is sent once."""
    if bool(identifiers) == everything:
        raise fail("Give request ids, or --all.")
    wanted = _filter(reason, kind, from_, to)
    done = 0
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        if identifiers:
            done = _replay(database, number, _named(database, number, identifiers))
        while everything and (letters := _find(database, number, wanted, MAX_REPLAY, sendable=True)):
            done += _replay(database, number, letters)
    out.print(f"{done} sent again")


def _named(database: Database, number: int, identifiers: list[str]) -> list[Letter]:
    secret = workspaces.secret(database, number)
    found = []
    with database.read() as connection:
        for identifier in identifiers:
            place = request_id.read(secret, number, identifier)
            letter = None if place is None else dead_letters.get(connection, number, *place)
            if letter is None:
                raise fail(f"This workspace has no dead letter {identifier}.")
            found.append(letter)
    return sorted(found, key=lambda letter: letter.accepted_us)


def _replay(database: Database, number: int, letters: list[Letter]) -> int:
    try:
        return sum(len(dead_letters.replay(database, number, part, kinds.DELETE, now_us())) for part in chunks(letters))
    except dead_letters.DeletionPendingError:
        raise fail(f"{DELETION_PENDING}. Try again later.") from None
