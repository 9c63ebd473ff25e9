"""What the first start makes: a workspace, a key and an account in files that only we may read, the `--demo`."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.adapters.clock import now_us
from app.adapters.private_files import read_secret, write_secret
from app.cli.children import secret
from app.cli.context import DEFAULT_WORKSPACE, fail
from app.contract.plans import DEFAULT_PLAN
from app.services import accounts, apps, naming, passwords, workspaces
from app.services.permissions import PERMISSIONS
from app.store import keys
from app.store import workspaces as stored
from app.store.engine import Database
from app.store.keys import KeyRecord

#: Of the demo. Its people are apart from all others, since a visitor logs in there with any name and no password.
DEMO_WORKSPACE: Final = "demo-shop"
DEMO_APP: Final = "Demo shop"
DEMO_NOT_LOCAL: Final = "--demo is for this machine alone: its address has to be a loopback address, as 127.0.0.1 is."
DEMO_TAKEN: Final = f"--demo makes the workspace `{DEMO_WORKSPACE}`, and there is another one of that name."


#: The account that the first start makes.
FIRST_ACCOUNT: Final = "admin"
CONSOLE_FILE: Final = "console.auth"


def first_account(database: Database, data_dir: Path) -> Path:
    """See that somebody can log in to the console: where there is no account, make one whose password is in the file.

    The file is written first, so that a crash leaves no account whose password nobody knows.
    """
    path = data_dir / CONSOLE_FILE
    if not accounts.listed(database):
        auth = secret(path, None, lambda: f"{FIRST_ACCOUNT}:{passwords.new()}", _account_problem)
        name, _, password = auth.partition(":")
        with suppress(accounts.NameTakenError):  # another machine's first start, at the same time
            accounts.create(database, name, {accounts.EVERYWHERE: accounts.ADMIN}, now_us(), password)
    return path


def _account_problem(auth: str) -> str | None:
    try:
        passwords.checked(auth.partition(":")[2])
        naming.checked(auth.partition(":")[0])
    except (passwords.InvalidPasswordError, naming.InvalidNameError):
        return f"must be account:password, the password of at least {passwords.SHORTEST} characters"
    return None


def default_key(database: Database, data_dir: Path) -> Path:
    """The file with the key of the workspace for everything that is not said to be elsewhere."""
    _made(database, DEFAULT_WORKSPACE)
    return _key_file(database, data_dir / "default.key", DEFAULT_WORKSPACE, "default")


def demo_shop(database: Database, data_dir: Path, port: int) -> tuple[str, Path]:
    """(SDK key of the shop's app, file with the API key of its workspace). Ends the command where there are none."""
    is_new = _made(database, DEMO_WORKSPACE)
    caller = workspaces.operator(database, DEMO_WORKSPACE)
    found = next((app for app in apps.listed(database, caller) if app.name == DEMO_APP), None)
    origins = [f"http://{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
    if found is not None:
        found = apps.change(database, caller, found.id, {"allowed_origins": origins, "disabled": False})
    elif is_new:
        found = apps.create(database, caller, DEMO_APP, "web", origins, now_us=now_us(), most=1)
    else:
        raise fail(DEMO_TAKEN)
    return found.sdk_key, _key_file(database, data_dir / "demo.key", DEMO_WORKSPACE, "demo")


def _made(database: Database, name: str) -> bool:
    """See that there is a workspace of this name; whether it was made now."""
    if name in {workspace.name for workspace in stored.listed(database)}:
        return False
    with suppress(workspaces.NameTakenError):  # another machine's first start, at the same time
        workspaces.create(database, name, {"plan": DEFAULT_PLAN}, now_us())
        return True
    return False


def _key_file(database: Database, path: Path, workspace: str, name: str) -> Path:
    """A file with a key of a workspace that has all permissions.

    After an upgrade the file gets another key, with the permissions that are new. The one before keeps those that it
    was made with: no key ever gains any (spec api-keys.md 2).
    """
    number = stored.number(stored.get(database, workspace))
    record = _key_in(database, path)
    ours = record is not None and record.workspace_id == number and record.key_name.startswith(name)
    if record is None or (ours and not record.permissions.issuperset(PERMISSIONS)):
        named = f"{name} {secrets.token_hex(3)}"
        write_secret(path, keys.create(database, number, named, PERMISSIONS, now_us()))
    return path


def _key_in(database: Database, path: Path) -> KeyRecord | None:
    """The live key of this database in the file; None for one of another that was used with the same folder."""
    identifier = keys.public_id(read_secret(path))
    return None if identifier is None else keys.find(database, identifier)
