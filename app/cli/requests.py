"""`onefold requests`: what became of a request, who is named by which, and what was refused."""

from typing import Annotated

import typer

from app.api.request_log import answers as log_answers
from app.api.requests import answers
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.options import having
from app.cli.output import AsJson, Row, errors, out, show, show_list
from app.cli.request_filters import NAMED, OUTCOME, TIMES, filter_of, line_of
from app.contract.cursor import Position
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services import request_log, request_search, requests
from app.services.refusals import UnknownRequestError
from app.services.request_search import Entry

app = typer.Typer(help="Requests: accepted and refused ones.", no_args_is_help=True)


@app.command("show")
def show_request(
    identifier: Annotated[str, typer.Argument(help="The X-Request-Id of an accepted request.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Where a request stands, what had no effect, and why."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            request = requests.status(database, caller, *requests.place_of(caller, identifier))
        except UnknownRequestError:
            raise fail("This workspace never gave that request id.") from None
    if as_json:
        show(answers.status(caller, identifier, request))
        return
    reason = "" if request.letter is None else f" ({request.letter.reason})"
    accepted = "longer ago than the inbox goes back" if request.accepted_us is None else times.iso(request.accepted_us)
    stream = STREAM_NAMES[request.stream]
    out.print(f"request {request.seq} of stream {stream}: {request.status}{reason}", highlight=False)
    out.print(f"accepted {accepted}")
    if request.skipped:
        rows: list[Row] = [((array, str(index), field, why), {}) for array, index, field, why in request.skipped]
        show_list(("array", "index", "field", "skipped because"), rows, as_json=False)


@app.command("list")
@having(NAMED, OUTCOME, TIMES)
def list_requests(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000)] = 100,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **filters: str | None,
) -> None:
    """Requests, accepted and refused, the last one first: those that name somebody, or all."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        wanted = filter_of(caller, filters)
        position: Position | None = request_search.start(database, caller, wanted)
        entries: list[Entry] = []
        while position is not None and len(entries) < limit:
            piece = request_search.look(database, caller, wanted, position, limit - len(entries), 1.0)
            entries += piece.entries
            position = piece.position
        if as_json:
            show([log_answers.entry_of(caller, entry) for entry in entries])
            return
        for entry in entries:
            out.print(line_of(caller, entry), soft_wrap=True, highlight=False)
        kept = request_log.kept_since(database, caller)
    normal, bulk = (_moment(us) for us in kept.streams)
    errors.print(f"Kept since: normal {normal}, bulk {bulk}, refused {_moment(kept.refused)}.", highlight=False)


@app.command("errors")
@having(OUTCOME, TIMES)
def list_errors(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **filters: str | None,
) -> None:
    """Refused requests by endpoint and error, the most frequent ones first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        groups = request_log.error_groups(database, caller, filter_of(caller, filters))
    rows: list[Row] = [
        (
            (
                group.endpoint,
                str(group.status),
                str(group.count),
                times.iso(group.first_us),
                times.iso(group.last_us),
                group.type,
            ),
            log_answers.group_of(group),
        )
        for group in groups
    ]
    show_list(("endpoint", "status", "requests", "first", "last", "error"), rows, as_json=as_json)


def _moment(us: int | None) -> str:
    return "-" if us is None else times.iso(us)
