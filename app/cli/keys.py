"""`onefold keys`: REST API keys of a workspace."""

from typing import Annotated

import typer
from rich.table import Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.domain import times
from app.permissions import PERMISSIONS, SYNONYMS
from app.store import workspaces
from app.store.engine import Database

app = typer.Typer(help="API keys. A key is shown once, when it is made.", no_args_is_help=True)

InWorkspace = Annotated[str, typer.Option("--workspace", help="Name of the workspace.")]
Name = Annotated[str, typer.Option("--name", help="Name of the key, unique in its workspace.")]


def workspace_id(database: Database, name: str) -> int:
    """Number of a workspace by name; ends the command when there is none."""
    try:
        return workspaces.number(workspaces.get(database, name))
    except workspaces.UnknownNameError:
        raise fail("No workspace has this name: see `onefold workspace list`.") from None


@app.command("create")
def create(
    workspace: InWorkspace,
    name: Name,
    permission: Annotated[list[str] | None, typer.Option("--permission", help="May be given many times.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every permission that exists today.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a key and print it, alone, on standard output. Its permissions can never be changed."""
    wanted = list(PERMISSIONS) if everything else permission or []
    if not wanted:
        raise fail("Give --permission at least once, or --all.")
    unknown = [one for one in wanted if one not in PERMISSIONS and one not in SYNONYMS]
    if unknown:
        raise fail(f"Unknown permission. Permissions: {', '.join(PERMISSIONS)}.")
    with opened(settings_for(data_dir)) as database:
        try:
            key = workspaces.create_key(database, workspace_id(database, workspace), name, set(wanted), now_us())
        except workspaces.NameTakenError:
            raise fail("A key of this name exists in the workspace.") from None
    typer.echo(key)


@app.command("list")
def list_keys(workspace: InWorkspace, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The keys of a workspace, without the keys themselves."""
    table = Table("name", "id", "created", "revoked", "permissions")
    with opened(settings_for(data_dir)) as database:
        for key in workspaces.keys(database, workspace_id(database, workspace)):
            every = set(PERMISSIONS) <= set(key.permissions)
            table.add_row(
                key.name,
                key.key_id,
                times.iso(key.created_us),
                "" if key.revoked_us is None else times.iso(key.revoked_us),
                "all" if every else ", ".join(key.permissions),
            )
    out.print(table)


@app.command("revoke")
def revoke(workspace: InWorkspace, name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop a key from working: at once in new processes, within 10 s in running ones."""
    with opened(settings_for(data_dir)) as database:
        try:
            workspaces.revoke_key(database, workspace_id(database, workspace), name, now_us())
        except workspaces.UnknownNameError:
            raise fail("No live key of the workspace has this name.") from None
    out.print(f"key {name} revoked", highlight=False)
