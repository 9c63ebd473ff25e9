"""`onefold admins`: accounts of the console."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from app.adapters.clock import now_us
from app.adapters.private_files import read_secret, write_secret
from app.cli.context import DEFAULT_DATA_DIR, DataDir, fail, opened, settings_for
from app.cli.output import AsJson, Row, out, show_list
from app.cli.starting import CONSOLE_FILE
from app.domain import times
from app.services import accounts, workspace_deletions, workspaces
from app.services.accounts import ADMIN, EVERYWHERE, ROLES, Account
from app.services.naming import InvalidNameError
from app.store.engine import Database

app = typer.Typer(help="Accounts of the console, and what each may do where.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME")]
Workspace = Annotated[
    str | None, typer.Option("--workspace", help="The one workspace in which it has the role; left out = in all.")
]
_WORDS: Final = f"One of {', '.join(ROLES)}."
_REFUSALS: Final[Mapping[type[Exception], str]] = {
    accounts.NameTakenError: "An account of this name exists.",
    accounts.UnknownNameError: "No account has this name: see `onefold admins list`.",
    accounts.InvalidRoleError: f"A role is one of {', '.join(ROLES)}.",
    accounts.TooManyAccountsError: f"There are {accounts.MOST_ACCOUNTS} accounts, and there can be no more.",
    accounts.LastAdminError: "Nobody would be left who may change accounts: make another admin first.",
}


@app.command("create")
def create(
    name: Name,
    role: Annotated[str, typer.Option("--role", help=_WORDS)] = ADMIN,
    workspace: Workspace = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Make an account, and print its password, alone, on standard output. It is shown this once."""
    with opened(settings_for(data_dir)) as database:
        try:
            password = accounts.create(database, name, {_number(database, workspace): role}, now_us())
        except InvalidNameError as error:
            raise fail(str(error)) from None
        except tuple(_REFUSALS) as error:
            raise fail(_REFUSALS[type(error)]) from None
    typer.echo(password)


@app.command("reset")
def reset(name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Give an account another password, and print it. Whoever is logged in with the account is no more."""
    settings = settings_for(data_dir)
    with opened(settings) as database:
        try:
            password = accounts.reset(database, name)
        except accounts.UnknownNameError as error:
            raise fail(_REFUSALS[type(error)]) from None
    path = settings.data_dir / CONSOLE_FILE
    if read_secret(path).partition(":")[0] == name:
        write_secret(path, f"{name}:{password}")
    typer.echo(password)


@app.command("list")
def list_accounts(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All accounts with their roles."""
    with opened(settings_for(data_dir)) as database:
        names: dict[int | None, str] = {workspaces.number(one): one.name for one in workspaces.listed(database)}
        rows = [_row(account, names) for account in accounts.listed(database)]
    show_list(("name", "made", "roles"), rows, as_json=as_json)


@app.command("grant")
def grant(
    name: Name,
    role: Annotated[str, typer.Option("--role", help=f"{_WORDS} `none` takes it away.")],
    workspace: Workspace = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Give an account another role, in one workspace or in all. In a workspace the higher of the two holds."""
    with opened(settings_for(data_dir)) as database:
        try:
            accounts.grant(database, name, _number(database, workspace), None if role == "none" else role)
        except tuple(_REFUSALS) as error:
            raise fail(_REFUSALS[type(error)]) from None
    out.print(f"account {name} changed", highlight=False, markup=False)


@app.command("delete")
def delete(name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Delete an account. Whoever is logged in with it is no more; what it did stays in the log of acts."""
    with opened(settings_for(data_dir)) as database:
        try:
            accounts.delete(database, name)
        except tuple(_REFUSALS) as error:
            raise fail(_REFUSALS[type(error)]) from None
    out.print(f"account {name} deleted", highlight=False, markup=False)


def _number(database: Database, workspace: str | None) -> int:
    if workspace is None:
        return EVERYWHERE
    try:
        return workspace_deletions.number_of(database, workspace)
    except workspaces.UnknownNameError:
        raise fail("No workspace has this name: see `onefold workspaces list`.") from None


def _row(account: Account, names: Mapping[int | None, str]) -> Row:
    roles = [
        (None if number == EVERYWHERE else names.get(number, str(number)), role)
        for number, role in account.roles.items()
    ]
    told = ", ".join(f"{role} of {'all workspaces' if name is None else name}" for name, role in roles)
    document = {
        "name": account.name,
        "created_at": times.iso(account.created_us),
        "roles": [{"workspace": name, "role": role} for name, role in roles],
    }
    return (account.name, times.iso(account.created_us), told), document
