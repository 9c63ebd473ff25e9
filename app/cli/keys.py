"""`onefold keys`: REST API keys of a workspace."""

import getpass
import re
from typing import Annotated, Final

import typer
from rich.table import Table

from app.bootstrap import now_us
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, out, settings_for
from app.domain import times
from app.services.networks import parse_networks
from app.services.permissions import PERMISSIONS, SYNONYMS
from app.store import keys, workspaces
from app.store.engine import Database
from app.store.tables import ApiKey

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
    allow_ip: Annotated[
        list[str] | None,
        typer.Option("--allow-ip", help="Address or CIDR block that may use it; may be given many times; none = any."),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="When it ends: 2027-01-31, 2027-01-31T12:00:00Z, or 90d, 12h.")
    ] = None,
    created_by: Annotated[str | None, typer.Option("--created-by", help="Who made it; you, if left out.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make a key and print it, alone, on standard output. Nothing of it can be changed later.

    To change keys, make another one, let your applications use it, then revoke the first: both work meanwhile.
    """
    wanted = list(PERMISSIONS) if everything else permission or []
    if not wanted:
        raise fail("Give --permission at least once, or --all.")
    unknown = [one for one in wanted if one not in PERMISSIONS and one not in SYNONYMS]
    if unknown:
        raise fail(f"Unknown permission. Permissions: {', '.join(PERMISSIONS)}.")
    try:
        networks = [str(network) for network in parse_networks(allow_ip or ())]
    except ValueError:
        raise fail("--allow-ip takes an address, or a CIDR block without bits behind its prefix.") from None
    expires_us = None if expires is None else _expiry(expires, now_us())
    with opened(settings_for(data_dir)) as database:
        try:
            key = keys.create(
                database,
                workspace_id(database, workspace),
                name,
                set(wanted),
                now_us(),
                ip_allowlist=networks,
                expires_us=expires_us,
                created_by=created_by or _user(),
            )
        except workspaces.NameTakenError:
            raise fail("A key of this name exists in the workspace.") from None
    typer.echo(key)


@app.command("list")
def list_keys(workspace: InWorkspace, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The keys of a workspace, without the keys themselves."""
    table = Table("name", "id", "created", "by", "last seen", "ends", "from", "permissions")
    with opened(settings_for(data_dir)) as database:
        for key in keys.listed(database, workspace_id(database, workspace)):
            every = set(PERMISSIONS) <= set(key.permissions)
            table.add_row(
                key.name,
                key.key_id,
                times.iso(key.created_us),
                key.created_by,
                "" if key.last_seen_us is None else times.iso(key.last_seen_us),
                _end(key, now_us()),
                ", ".join(key.ip_allowlist) or "anywhere",
                "all" if every else ", ".join(key.permissions),
            )
    out.print(table)


@app.command("revoke")
def revoke(workspace: InWorkspace, name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop a key from working, in running processes within seconds (ONEFOLD_KEY_CACHE_SECONDS, 4 by default)."""
    with opened(settings_for(data_dir)) as database:
        try:
            keys.revoke(database, workspace_id(database, workspace), name, now_us())
        except workspaces.UnknownNameError:
            raise fail("No live key of the workspace has this name.") from None
    out.print(f"key {name} revoked", highlight=False)


_SPAN_US: Final = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000}


def _expiry(text: str, now: int) -> int:
    """A point in time, or a span from now on, in microseconds."""
    span = re.fullmatch(r"(\d{1,5})([dhm])", text)
    if span is not None:
        found: int | None = now + int(span[1]) * _SPAN_US[span[2]]
    else:
        found = times.parse(text if "T" in text else f"{text}T00:00:00Z")
    if found is None or found <= now:
        raise fail("--expires takes a date, a time, or a span as in 90d, in the future.")
    return found


def _end(key: ApiKey, now: int) -> str:
    if key.revoked_us is not None:
        return f"revoked {times.iso(key.revoked_us)}"
    if key.expires_us is None:
        return "never"
    return f"{'expired' if key.expires_us <= now else 'expires'} {times.iso(key.expires_us)}"


def _user() -> str:
    """The name of whoever runs the command, as far as the system knows one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
