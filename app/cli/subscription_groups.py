"""`onefold subscription-groups`: groups of e-mail, SMS and WhatsApp that people subscribe to."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from app.adapters.clock import now_us
from app.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_WORKSPACE,
    DataDir,
    InWorkspace,
    fail,
    opened_workspace,
    refused,
    settings_for,
)
from app.cli.output import AsJson, out, show_list
from app.contract import subscription_groups as contract
from app.domain import times
from app.services import subscription_groups
from app.services.refusals import GroupTakenError, TooManyGroupsError, UnknownGroupError

app = typer.Typer(help="Subscription groups of e-mail, SMS and WhatsApp.", no_args_is_help=True)


_REFUSALS: Final[Mapping[type[Exception], str]] = {
    GroupTakenError: contract.TAKEN,
    TooManyGroupsError: contract.TOO_MANY,
    UnknownGroupError: contract.UNKNOWN,
}


@app.command("create")
def create_group(
    name: str,
    channel: Annotated[str, typer.Option("--channel", help=f"One of {', '.join(contract.CHANNELS)}.")],
    group_id: Annotated[str | None, typer.Option("--id", help="An id of your own; without it we make one.")] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a group, and print its id. Known at once to a service that runs."""
    if channel not in contract.CHANNELS:
        raise fail(contract.BAD_CHANNEL)
    most = settings_for(data_dir).max_subscription_groups
    with opened_workspace(data_dir, workspace) as (database, caller), refused(_REFUSALS):
        wanted = None if group_id is None else contract.checked_id(group_id)
        named = contract.checked_name(name)
        made = subscription_groups.create(database, caller, named, channel, wanted, now_us=now_us(), most=most)
    out.print(made.id, highlight=False, soft_wrap=True)


@app.command("list")
def list_groups(
    workspace: InWorkspace = DEFAULT_WORKSPACE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """All groups, the oldest first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        groups = subscription_groups.listed(database, caller)
    rows = [
        (
            (group.id, group.name, group.channel),
            {
                "id": group.id,
                "name": group.name,
                "channel": group.channel,
                "created_at": times.iso(group.created_us),
            },
        )
        for group in groups
    ]
    show_list(("id", "name", "channel"), rows, as_json=as_json)


@app.command("update")
def update_group(
    group_id: Annotated[str, typer.Argument(metavar="ID")],
    name: Annotated[str, typer.Option("--name", help="Its new name.")],
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Rename a group. Its id and its channel stay."""
    with opened_workspace(data_dir, workspace) as (database, caller), refused(_REFUSALS):
        subscription_groups.rename(database, caller, contract.checked_id(group_id), contract.checked_name(name))
    out.print("renamed", highlight=False)
