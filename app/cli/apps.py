"""`onefold apps`: apps, and the public keys with which their SDKs send."""

from collections.abc import Mapping
from pathlib import Path
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
from app.cli.output import AsJson, errors, out, show_list
from app.contract import apps as contract
from app.domain import times
from app.services import apps
from app.services.refusals import TooManyAppsError, UnknownAppError

app = typer.Typer(help="Apps, and the public keys with which their SDKs send.", no_args_is_help=True)

AppId = Annotated[str, typer.Argument(metavar="ID")]
Origins = Annotated[
    list[str] | None,
    typer.Option("--origin", help="Origin of pages that may send, such as https://shop.example.org; at first any."),
]


_REFUSALS: Final[Mapping[type[Exception], str]] = {
    TooManyAppsError: contract.TOO_MANY,
    UnknownAppError: contract.UNKNOWN,
}


def _say(made: apps.App) -> None:
    """The SDK key alone on stdout, for scripts; the id beside it."""
    errors.print(f"app_id {made.id}", highlight=False, soft_wrap=True)
    out.print(made.sdk_key, highlight=False, soft_wrap=True)


@app.command("create")
def create_app(
    name: str,
    platform: Annotated[str, typer.Option("--platform", help=f"One of {', '.join(contract.PLATFORMS)}.")],
    origins: Origins = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make an app; prints its public SDK key, and on stderr its app_id. Known at once to a service that runs."""
    most = settings_for(data_dir).max_apps
    with opened_workspace(data_dir, workspace) as (database, caller), refused(_REFUSALS):
        wanted = [contract.ANY_ORIGIN] if not origins else contract.checked_origins(origins)
        named, kind = contract.checked_name(name), contract.checked_platform(platform)
        made = apps.create(database, caller, named, kind, wanted, now_us=now_us(), most=most)
    _say(made)


@app.command("list")
def list_apps(
    workspace: InWorkspace = DEFAULT_WORKSPACE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """All apps with their SDK keys, the oldest first."""
    with opened_workspace(data_dir, workspace) as (database, caller):
        found = apps.listed(database, caller)
    rows = [
        (
            (one.id, one.name, one.platform, one.sdk_key, " ".join(one.allowed_origins), "no" if one.disabled else ""),
            {
                "app_id": one.id,
                "name": one.name,
                "platform": one.platform,
                "sdk_key": one.sdk_key,
                "allowed_origins": list(one.allowed_origins),
                "disabled": one.disabled,
                "sdk_authentication": one.sdk_authentication,
                "public_keys": list(one.public_keys),
                "created_at": times.iso(one.created_us),
            },
        )
        for one in found
    ]
    show_list(("app_id", "name", "platform", "sdk_key", "origins", "taken"), rows, as_json=as_json)


@app.command("update")
def update_app(
    app_id: AppId,
    name: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    origins: Origins = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--enabled", help="Whether nothing is taken from its devices.")
    ] = None,
    authentication: Annotated[
        bool | None,
        typer.Option(
            "--sdk-authentication/--no-sdk-authentication", help="Whether data of known people needs a signature."
        ),
    ] = None,
    keys: Annotated[
        list[Path] | None,
        typer.Option(
            "--public-key", help="PEM file of an RSA key that verifies signatures, up to 5; replaces those before."
        ),
    ] = None,
    workspace: InWorkspace = DEFAULT_WORKSPACE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Change an app. A service that runs sees it within some seconds."""
    with opened_workspace(data_dir, workspace) as (database, caller), refused(_REFUSALS):
        values: dict[str, object] = {}
        if name is not None:
            values["name"] = contract.checked_name(name)
        if origins:
            values["allowed_origins"] = contract.checked_origins(origins)
        if disabled is not None:
            values["disabled"] = disabled
        if authentication is not None:
            values["sdk_authentication"] = authentication
        if keys:
            try:
                values["public_keys"] = contract.checked_keys([path.read_text() for path in keys])
            except (OSError, UnicodeDecodeError):
                raise fail("A file of --public-key cannot be read.") from None
        if not values:
            raise fail("Give what is to be changed, such as --name.")
        apps.change(database, caller, app_id, values)
    out.print("changed", highlight=False)


@app.command("rotate")
def rotate_key(app_id: AppId, workspace: InWorkspace = DEFAULT_WORKSPACE, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Give an app another SDK key, and print it. The one before works no more within some seconds."""
    with opened_workspace(data_dir, workspace) as (database, caller), refused(_REFUSALS):
        made = apps.rotate(database, caller, app_id)
    _say(made)
