"""`onefold dead-letters`: requests that could not be applied."""

import asyncio
from collections.abc import Iterable
from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.api.dead_letters import answers
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, out, show_list
from app.contract import kinds
from app.contract.dead_letters import Filter, read_page
from app.contract.errors import DELETIONS_PENDING, RefusedError
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services import dead_letters
from app.services.caller import Caller
from app.services.calls import direct_calls
from app.services.dead_letters import DeadLetters, Letter, Replay
from app.services.refusals import DeletionsPendingError
from app.store.engine import Database

app = typer.Typer(help="Requests that could not be applied, and sending them again.", no_args_is_help=True)

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


@app.command("list")
def list_letters(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    reason: Reason = None,
    kind: Kind = None,
    from_: From = None,
    to: To = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Requests that could not be applied, in the order of their acceptance."""
    wanted = _filter(reason, kind, from_, to)
    with opened_workspace(data_dir, workspace) as (database, caller):
        letters = dead_letters.find(database, caller, wanted, limit, now_us())
    show_list(
        ("request", "stream", "kind", "reason", "accepted", "bytes", "sent again as"),
        [(_cells(caller, letter), answers.letter_of(caller, letter)) for letter in letters],
        as_json=as_json,
    )


def _cells(caller: Caller, letter: Letter) -> tuple[str, ...]:
    again = letter.replayed_seq
    return (
        caller.request_id(letter.stream, letter.seq),
        STREAM_NAMES[letter.stream],
        kinds.name_of(letter.kind),
        letter.reason,
        times.iso(letter.accepted_us),
        str(letter.size) if letter.size else "gone",
        "-" if again is None else caller.request_id(letter.stream, again),
    )


@app.command("show")
def show(identifier: Id, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Print the body of a request that could not be applied, as it is stored. It may hold data of persons."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        body = dead_letters.body(database, caller, identifier)
    if body is None:
        raise fail("This workspace has no dead letter of that id with a body.")
    typer.echo(body)


@app.command("replay")
def replay(
    identifiers: Annotated[list[str] | None, typer.Argument(help="X-Request-Ids.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the other options select.")] = False,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    reason: Reason = None,
    kind: Kind = None,
    from_: From = None,
    to: To = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send requests again that could not be applied, as new requests in the old order. Each is sent once."""
    if bool(identifiers) == everything:
        raise fail("Give request ids, or --all.")
    wanted: list[str] | Filter = identifiers or _filter(reason, kind, from_, to)
    with opened_workspace(data_dir, workspace) as (database, caller):
        done, more = -_sent_before(database, caller, identifiers or ()), True
        while more:
            found = asyncio.run(_replay(database, caller, wanted))
            done, more = done + len(found.sent), found.more
    out.print(f"{done} sent again")


def _sent_before(database: Database, caller: Caller, identifiers: Iterable[str]) -> int:
    """How many of them need not be sent. Ends the command for an id of no letter, before any is sent."""
    before = 0
    for identifier, letter in dead_letters.by_id(database, caller, identifiers).items():
        if letter is None:
            raise fail(f"This workspace has no dead letter {identifier}.")
        before += letter.replayed_seq is not None
    return before


async def _replay(database: Database, caller: Caller, wanted: list[str] | Filter) -> Replay:
    async with direct_calls() as calls:
        try:
            return await DeadLetters(database, calls, now_us, ring=lambda _stream: None).replay(caller, wanted)
        except DeletionsPendingError:
            raise fail(f"{DELETIONS_PENDING}. Try again later.") from None
