"""`onefold merges`: what was merged, taking it back, and what may be merged at all."""

from typing import Annotated

import typer
from rich.table import Column, Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.cli.keys import workspace_id
from app.cli.workspaces import change_settings
from app.contract import merge_records as contract
from app.contract import request_id, stored
from app.domain import times
from app.domain.commands import STREAM_NORMAL
from app.domain.profile import DEPRECATED, EXTERNAL
from app.store import merges, workspaces
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.profiles import look_up

app = typer.Typer(help="Merges: the list, undoing, and guards against wrong ones.", no_args_is_help=True)

InWorkspace = Annotated[str, typer.Option("--workspace", help="Name of the workspace.")]
#: Whose requests these are in histories.
OPERATOR = "onefold merges"


@app.command("list")
def list_merges(
    external_id: Annotated[str, typer.Argument(help="External id of the profile that was kept.")],
    workspace: InWorkspace = "default",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000)] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Merges into a profile and into those that were merged into it, newest first."""
    table = Table(Column("id", no_wrap=True), "merged at", "by key", "kept braze_id", "merged braze_id", "")
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        with database.read() as connection:
            keys = {(kind, "", external_id) for kind in (EXTERNAL, DEPRECATED)}
            pids = set().union(*look_up.find(connection, number, keys).values())
            for record in merges.listed(connection, number, pids, limit, 0):
                origin, now = record.origin, now_us()
                state = "undone" if record.undone else "undoable" if now < record.expires_us else ""
                table.add_row(
                    record.id,
                    times.iso(origin.us),
                    origin.key_name or "-",
                    record.kept_braze_id,
                    record.merged_braze_id,
                    state,
                )
    out.print(table)


@app.command("undo")
def undo(
    merge_id: Annotated[str, typer.Argument(help="The id of the merge.")],
    workspace: InWorkspace = "default",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Queue the undoing of a merge. Prints the id of the request: `onefold requests show` tells what became of it."""
    if not contract.is_id(merge_id):
        raise fail("That is not the id of a merge: see `onefold merges list`.")
    with opened(settings_for(data_dir)) as database:
        number = workspace_id(database, workspace)
        undo = contract.undo(merge_id)
        codec, body = stored.signed(undo.codec, undo.body, OPERATOR)
        with database.write(database.inbox) as connection:
            entry = Entry(undo.kind, codec, body)
            (place,) = inbox.append(connection, number, STREAM_NORMAL, [entry], now_us())
        secret = workspaces.secret(database, number)
    out.print(request_id.make(secret, number, STREAM_NORMAL, place.seq), highlight=False)


@app.command("guard")
def guard(
    workspace: InWorkspace = "default",
    junk_identifier: Annotated[
        list[str] | None,
        typer.Option("--junk-identifier", help="Never leads to a merge; given once or more, replaces the list."),
    ] = None,
    default_junk: Annotated[bool, typer.Option("--default-junk", help="Back to the list that Onefold has.")] = False,
    max_identifiers: Annotated[int | None, typer.Option(min=1, help="Identifiers of one profile.")] = None,
    max_merges: Annotated[int | None, typer.Option(min=0, help="Profiles merged into one.")] = None,
    undo_days: Annotated[int | None, typer.Option(min=0, max=3650, help="How long a merge can be undone.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change what may be merged. Takes effect behind everything accepted before."""
    if junk_identifier and default_junk:
        raise fail("Give --junk-identifier or --default-junk.")
    given = {
        "max_identifiers_per_profile": max_identifiers,
        "max_merges_per_profile": max_merges,
        "merge_undo_days": undo_days,
        "junk_identifiers": junk_identifier or None,
    }
    values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if default_junk:
        values["junk_identifiers"] = None
    if not values:
        raise fail("Nothing to change: see `onefold merges guard --help`.")
    with opened(settings_for(data_dir)) as database:
        change_settings(database, workspace_id(database, workspace), values)
    out.print(f"workspace {workspace} changed", highlight=False)
