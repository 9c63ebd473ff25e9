"""`onefold flags`: test users, the global control group, and blocked profiles."""

from typing import Annotated

import msgspec
import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.options import PERSON, given, having
from app.cli.output import out
from app.contract import addresses
from app.contract import flags as contract
from app.contract.errors import RefusedError
from app.services.accepting.direct import enqueue

app = typer.Typer(help="Flags of people: test users, the global control group, blocked profiles.", no_args_is_help=True)

#: Whose requests these are in histories.
OPERATOR = "onefold flags"


@app.command("set")
@having(PERSON)
def set_flags(
    test_user: Annotated[bool | None, typer.Option("--test-user/--no-test-user")] = None,
    global_control_group: Annotated[
        bool | None,
        typer.Option("--global-control-group/--no-global-control-group", help="Whoever is in it is never merged."),
    ] = None,
    spam_blocked: Annotated[
        bool | None,
        typer.Option("--spam-blocked/--no-spam-blocked", help="A blocked profile takes no further data."),
    ] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    **person: str | None,
) -> None:
    """Change the flags of one person. Prints the id of the request: `onefold requests show` tells what became of it."""
    flags = {
        "test_user": test_user,
        "global_control_group": global_control_group,
        "spam_blocked": spam_blocked,
    }
    sent = given(person) | {name: value for name, value in flags.items() if value is not None}
    with opened_workspace(data_dir, workspace, OPERATOR) as (database, caller):
        try:
            checked = contract.check(msgspec.json.encode({"flags": [sent]}), addresses.region_of(caller.options))
        except RefusedError as refused:
            raise fail(refused.errors[0].type if refused.errors else refused.message) from None
        request_id = enqueue(database, caller, checked, now_us())
    out.print(request_id, highlight=False)
