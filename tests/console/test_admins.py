"""`onefold admins`, and the account that the first start makes."""

import json
import stat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from app.adapters.private_files import write_secret
from app.cli import starting
from app.cli.main import app as cli
from app.services import accounts, passwords
from app.store.engine import Database
from tests.stores import NOW_US, workspace


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["admins", *arguments, "--data-dir", str(folder)])
    return done.exit_code, done.stdout.strip(), " ".join(done.stderr.split())


@pytest.fixture
def folder(sqlite_template: Path, tmp_path: Path) -> Path:
    (tmp_path / "onefold.db").write_bytes((sqlite_template / "onefold.db").read_bytes())
    (tmp_path / "onefold-inbox.db").write_bytes((sqlite_template / "onefold-inbox.db").read_bytes())
    return tmp_path


def test_accounts_from_the_command_line(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'onefold.db'}")
    number = workspace(database, "shop")
    code, password, _ = run(folder, "create", "root")
    assert (code, len(password)) == (0, 24)
    assert run(folder, "create", "root")[0::2] == (1, "An account of this name exists.")
    assert run(folder, "create", "x", "--role", "owner")[2] == "A role is one of reader, operator, admin."
    assert run(folder, "create", "x", "--workspace", "y")[2].startswith("No workspace has this name")
    assert run(folder, "create", "grace", "--role", "reader", "--workspace", "shop")[0] == 0
    assert run(folder, "grant", "grace", "--role", "operator")[0] == 0
    _, listed, _ = run(folder, "list", "--json")
    assert [(one["name"], one["roles"]) for one in json.loads(listed)] == [
        ("grace", [{"workspace": None, "role": "operator"}, {"workspace": "shop", "role": "reader"}]),
        ("root", [{"workspace": None, "role": "admin"}]),
    ]
    assert run(folder, "grant", "grace", "--role", "none")[0] == 0
    (grace, root) = accounts.listed(database)
    assert (grace.roles, passwords.matches(password, root.password)) == ({number: "reader"}, True)
    assert run(folder, "delete", "root")[2].startswith("Nobody would be left")
    assert run(folder, "delete", "grace")[0] == 0
    assert run(folder, "reset", "grace")[2].startswith("No account has this name")
    database.dispose()


def test_the_first_account(folder: Path) -> None:
    """Made once, with a password in a file of ours alone; a crash between the file and the account loses nothing."""
    database = Database(f"sqlite:///{folder / 'onefold.db'}")
    write_secret(folder / "console.auth", "admin:short")
    with pytest.raises(typer.Exit):
        starting.first_account(database, folder)
    write_secret(folder / "console.auth", "grace:as long as it has to be")  # where a crash left it
    path = starting.first_account(database, folder)
    (made,) = accounts.listed(database)
    assert (path.read_text(), made.name, made.roles) == ("grace:as long as it has to be\n", "grace", {0: "admin"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    starting.first_account(database, folder)
    assert accounts.listed(database) == [made]
    code, password, _ = run(folder, "reset", "grace")  # the file stays true
    assert (code, path.read_text()) == (0, f"grace:{password}\n")
    accounts.create(database, "other", {}, NOW_US)
    run(folder, "reset", "other")
    assert path.read_text() == f"grace:{password}\n"
    database.dispose()
