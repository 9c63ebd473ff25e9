"""`onefold requests`: what became of an accepted request."""

from typing import Annotated

import typer

from app.api.requests import answers
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, Row, out, show, show_list
from app.domain import times
from app.domain.commands import STREAM_NAMES
from app.services import requests
from app.services.refusals import UnknownRequestError

app = typer.Typer(help="Accepted requests.", no_args_is_help=True)


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
