"""`onefold keys`: REST API keys of a workspace."""

import getpass
import re
from typing import Annotated, Final

import typer

from app.adapters.clock import now_us
from app.cli.context import DEFAULT_DATA_DIR, DEFAULT_WORKSPACE, DataDir, InWorkspace, fail, opened_workspace
from app.cli.output import AsJson, Row, out, show_list
from app.domain import times
from app.services import api_keys
from app.services.api_keys import ApiKey, InvalidKeyRequestError, NameTakenError, NewKey, UnknownNameError
from app.services.naming import InvalidNameError
from app.services.permissions import ALL

app = typer.Typer(help="API keys. A key is shown once, when it is made.", no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", help="Name of the key, unique in its workspace.")]


@app.command("create")
def create(
    name: Name,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    permission: Annotated[list[str] | None, typer.Option("--permission", help="May be given many times.")] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Every permission that exists today but admin.limits and admin.workspaces, which have to be named.",
        ),
    ] = False,
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
    expires_us = None if expires is None else _expiry(expires, now_us())
    wanted = NewKey(name, permission or (), everything, allow_ip or (), expires_us, created_by or _user())
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            key = api_keys.create(database, caller, wanted, now_us())
        except NameTakenError:
            raise fail("A key of this name exists in the workspace.") from None
        except (InvalidKeyRequestError, InvalidNameError) as error:
            raise fail(str(error)) from None
    typer.echo(key)


@app.command("list")
def list_keys(
    workspace: InWorkspace = DEFAULT_WORKSPACE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """The keys of a workspace, without the keys themselves."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        found = api_keys.listed(database, caller)
    columns = ("name", "id", "created", "by", "last seen", "ends", "from", "permissions")
    show_list(columns, [_row(key, now_us()) for key in found], as_json=as_json)


def _row(key: ApiKey, now: int) -> Row:
    cells = (
        key.name,
        key.key_id,
        times.iso(key.created_us),
        key.created_by,
        "" if key.last_seen_us is None else times.iso(key.last_seen_us),
        _end(key, now),
        ", ".join(key.ip_allowlist) or "anywhere",
        _permissions(key),
    )
    moments = ("created", "last_seen", "expires", "revoked")
    document: dict[str, object] = {
        "name": key.name,
        "id": key.key_id,
        "created_by": key.created_by,
        "ip_allowlist": key.ip_allowlist,
        "permissions": key.permissions,
    }
    for moment in moments:
        us = getattr(key, f"{moment}_us")
        document[f"{moment}_at"] = None if us is None else times.iso(us)
    return cells, document


def _permissions(key: ApiKey) -> str:
    rest = set(key.permissions) - set(ALL)
    return ", ".join(["all", *sorted(rest)] if set(ALL) <= set(key.permissions) else key.permissions)


@app.command("revoke")
def revoke(name: Name, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Stop a key from working, in running processes within seconds (ONEFOLD_KEY_CACHE_SECONDS, 4 by default)."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        try:
            api_keys.revoke(database, caller, name, now_us())
        except UnknownNameError:
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
