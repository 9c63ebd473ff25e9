"""`onefold spam-blocks`: blocked profiles."""

from typing import Annotated

import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, opened_workspace
from app.cli.output import AsJson, out, show_list
from app.contract import flags as contract
from app.contract.spam_blocks import MAX_PAGE, Page
from app.services import spam_blocks
from app.services.accepting.direct import enqueue

app = typer.Typer(help="Blocked profiles, which take no further data.", no_args_is_help=True)

#: Whose requests these are in histories.
OPERATOR = "onefold spam-blocks"


@app.command("list")
def list_blocks(
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    after: Annotated[int, typer.Option("--after", help="Begin behind the profile of this number.")] = -1,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MAX_PAGE, help="Profiles to show.")] = MAX_PAGE,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Blocked profiles, and how much they have of what profiles are blocked for."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        found = spam_blocks.listed(database, caller, Page(after, limit)).blocked
    columns = ("number", "braze_id", "external_id", "sessions", "event names", "products")
    rows = [
        (
            (str(x.pid), x.braze_id, x.external_id or "", str(x.sessions), str(x.event_names), str(x.product_ids)),
            {
                "number": x.pid,
                "braze_id": x.braze_id,
                "external_id": x.external_id,
                "sessions": x.sessions,
                "event_names": x.event_names,
                "product_ids": x.product_ids,
            },
        )
        for x in found
    ]
    show_list(columns, rows, as_json=as_json)


@app.command("lift")
def lift(braze_id: str, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """End the block of a profile. Prints the id of the request: `onefold requests show` tells what became of it."""
    with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller):
        request_id = enqueue(database, caller, contract.lift(braze_id), now_us())
    out.print(request_id, highlight=False)
