"""The command line: lists that cut nothing, former names, and where nothing is made."""

import json
import os
import pty
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import text

from app.cli.starting import DEMO_WORKSPACE, default_key, demo_shop
from app.services import refusals
from app.services.permissions import PERMISSIONS
from app.services.refusals import ServiceError
from app.services.statuses import STATUSES
from app.store import apps, keys, migrate, workspaces
from app.store.durability import is_loopback
from app.store.engine import Database
from app.store.segments import upkeep, values
from tests.api.duplicates import drains, people
from tests.api.harness import Service, Workspace, times_now
from tests.api.jobs import work_off
from tests.api.poison import poison
from tests.command_line import run
from tests.e2e.service import ONEFOLD, environment


@pytest.fixture
def named(on_sqlite: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a workspace on SQLite, in whose data directory commands run."""
    monkeypatch.setenv("ONEFOLD_DATA_DIR", str(on_sqlite.settings.data_dir))
    monkeypatch.setenv("DATABASE_URL", "")
    with on_sqlite.database.read() as connection:
        return str(connection.exec_driver_sql(f"select name from workspace where id = {workspace.id}").scalar())


@pytest.fixture
def workspace(on_sqlite: Service) -> Workspace:
    return on_sqlite.workspace()


NARROW = "keys create --workspace {} --name narrow --permission " + " --permission ".join(PERMISSIONS[:20])


def test_lists_cut_nothing_and_have_json(workspace: Workspace, named: str) -> None:
    run(*NARROW.format(named).split())
    poison(workspace)
    workspace.service.drain(workspace.id)
    of = ("--workspace", named)
    texts: list[tuple[list[str], list[str]]] = [
        (["keys", "list", *of], [*PERMISSIONS[:20]]),
        (["dead-letters", "list", *of], [json.loads(run("dead-letters", "list", *of, "--json"))[0]["id"]]),
        (["workspaces", "list"], [named]),
        (["companies", "list"], []),
        (["attributes", "list", *of], []),
        (["events", "list", *of], []),
        (["merges", "list", "nobody", *of], []),
    ]
    for words, wanted in texts:
        shown = run(*words)
        assert "…" not in shown
        assert all(text in shown for text in wanted), shown
        found: list[dict[str, Any]] = json.loads(run(*words, "--json"))
        assert isinstance(found, list)
    (key,) = (x for x in json.loads(run("keys", "list", *of, "--json")) if x["name"] == "narrow")
    assert key["permissions"] == sorted(PERMISSIONS[:20])


def test_a_narrow_terminal_cuts_nothing(workspace: Workspace, named: str) -> None:
    run(*NARROW.format(named).split())
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 40))
    words = [ONEFOLD, "keys", "list", "--workspace", named, "--data-dir", str(workspace.service.settings.data_dir)]
    done = subprocess.Popen(words, stdout=theirs, stdin=theirs, env=environment())
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert done.wait(30) == 0
    assert all(permission in shown.decode() for permission in PERMISSIONS[:20])
    assert "…" not in shown.decode()


def test_keys_list_shows_the_default_workspace(tmp_path: Path) -> None:
    env = {"ONEFOLD_DATA_DIR": str(tmp_path)}
    run("migrate", env=env)
    run("workspaces", "create", "default", env=env)
    run("keys", "create", "--name", "k", "--all", env=env)
    run(
        "keys",
        "create",
        "--name",
        "owner",
        "--all",
        "--permission",
        "admin.limits",
        "--permission",
        "admin.workspaces",
        env=env,
    )
    keys = {key["name"]: key["permissions"] for key in json.loads(run("keys", "list", "--json", env=env))}
    # A key that any application may have cannot raise its own limits, unless somebody says so.
    assert keys == {"k": sorted(set(PERMISSIONS) - {"admin.limits", "admin.workspaces"}), "owner": sorted(PERMISSIONS)}


def test_the_default_key_has_all_permissions_after_an_upgrade(tmp_path: Path) -> None:
    """The file gets another key; the one that was there keeps what it was made with."""
    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    migrate.upgrade(database)

    def started() -> tuple[str, frozenset[str]]:
        key = default_key(database, tmp_path).read_text().strip()
        return key, permissions(key)

    def permissions(key: str) -> frozenset[str]:
        record = keys.find(database, keys.public_id(key) or "")
        assert record is not None
        return record.permissions

    first = started()
    assert started() == first
    with database.write() as connection:
        connection.execute(text("update api_key set permissions = :p"), {"p": json.dumps(["users.track"])})
    second = started()
    assert (second[1], second[0] == first[0]) == (frozenset(PERMISSIONS), False)
    assert permissions(first[0]) == {"users.track"}
    assert started() == second
    # A key that somebody else chose for the file stays there.
    own = keys.create(database, 1, "mine", ("users.track",), 1)
    (tmp_path / "default.key").write_text(own)
    assert started() == (own, frozenset(("users.track",)))
    database.dispose()


def test_the_demo_has_a_workspace_of_its_own(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    migrate.upgrade(database)
    default_key(database, tmp_path)
    sdk_key, file = demo_shop(database, tmp_path, 8080)
    record = keys.find(database, keys.public_id(file.read_text().strip()) or "")
    assert record is not None
    found = apps.by_sdk_key(database, sdk_key)
    assert found is not None
    assert (found[0], found[1].allowed_origins[0]) == (record.workspace_id, "http://127.0.0.1:8080")
    assert demo_shop(database, tmp_path, 8123) == (sdk_key, file)  # on another port, by pages from there
    found = apps.by_sdk_key(database, sdk_key)
    assert found is not None
    assert found[1].allowed_origins == ("http://127.0.0.1:8123", "http://localhost:8123", "http://[::1]:8123")
    database.dispose()


def test_the_demo_takes_no_workspace_of_somebody_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    migrate.upgrade(database)
    workspaces.create(database, DEMO_WORKSPACE, "legacy", 1)
    with pytest.raises(typer.Exit):
        demo_shop(database, tmp_path, 8080)
    assert "there is another one of that name" in capsys.readouterr().err
    assert not (tmp_path / "demo.key").exists()
    database.dispose()


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("shop.example.org", False),
    ],
)
def test_the_demo_is_for_this_machine(host: str, *, ours: bool) -> None:
    assert is_loopback(host) is ours


def test_former_names_work(named: str) -> None:
    run("workspace", "set", named, "--plan", "legacy", "--hourly", "7", "--burst", "5", "--burst-window", "60")
    run("company", "create", f"c {named}", "--burst", "3")
    run("workspace", "set", named, "--company", f"c {named}")
    (found,) = (x for x in json.loads(run("workspace", "list", "--json")) if x["name"] == named)
    assert (found["plan"], found["hourly_limit"], found["burst_limit"], found["burst_window_seconds"]) == (
        *("legacy", 7),
        *(5, 60),
    )
    assert run("dead", "list", "--workspace", named) == run("dead-letters", "list", "--workspace", named)
    shown = run("--help") + run("workspaces", "set", "--help") + run("workspaces", "create", "--help")
    for former in ("workspace ", "company ", "dead ", "--hourly", "--burst"):
        assert f"│ {former}" not in shown


@pytest.mark.parametrize(
    "words",
    [
        "workspaces create shop",
        "workspaces set shop --disabled",
        "workspaces list",
        "companies create acme",
        "companies list",
        "keys create --name k --all",
        "keys list",
        "limits show",
        "limits set --plan legacy",
        "requests show x",
        "dead-letters list",
        "dead-letters replay --all",
        "merges list x",
        "attributes list",
        "events set x --block",
        "doctor",
        "verify",
        "api",
        "worker",
    ],
)
def test_only_up_and_migrate_make_a_data_directory(words: str, tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    for place in (folder, tmp_path):  # one that is not there, and one that is empty
        said = run(*words.split(), "--data-dir", str(place), fails=True)
        assert str(place / "onefold.db") in said.replace("\n", "")
    assert list(tmp_path.iterdir()) == []


def test_doctor_is_red_while_dead_letters_can_be_sent_again(workspace: Workspace, named: str) -> None:
    def line() -> str:
        shown = run("doctor", fails=True)  # no worker runs here
        return next(line for line in shown.splitlines() if "dead letters" in line)

    run("dead-letters", "replay", "--all", "--workspace", named)
    before = line()
    poison(workspace)
    workspace.service.drain(workspace.id)
    assert f"1 in {named}" not in before
    assert f"1 in {named}" in line()
    assert "onefold dead-letters replay" in line()


def test_doctor_is_red_where_a_copy_for_segments_fell_behind(service: Service) -> None:
    workspace, database = service.workspace(), service.database
    env = {"DATABASE_URL": database.url, "REDIS_URL": service.settings.redis(), "BROKER_URL": ""}
    env["ONEFOLD_CANARY_SECONDS"] = "0"  # there is no worker to wait for

    def line() -> str:
        shown = run("doctor", "--data-dir", str(service.settings.data_dir), fails=True, env=env)
        return next(line for line in shown.splitlines() if "segments" in line)

    values.begin(database, workspace.id, times_now())
    if not database.is_postgresql:
        assert "counted from the profiles" in line()
        return
    assert f"workspace {workspace.id} " not in line()
    moved = text("update lane set cursor_normal = cursor_normal + :n where workspace_id = :w")
    with database.write() as connection:  # as a worker of an earlier version does
        connection.execute(moved, {"n": 1, "w": workspace.id})
    assert f"workspace {workspace.id} fell behind" in line()
    upkeep.end(database, workspace.id, times_now())
    assert f"workspace {workspace.id} fell behind" in line()
    with database.write() as connection:
        connection.execute(moved, {"n": -1, "w": workspace.id})
        connection.execute(text("delete from value_filling where workspace_id = :w"), {"w": workspace.id})
    assert f"workspace {workspace.id} " not in line()


def test_every_refusal_of_a_service_has_a_status() -> None:
    named = {one for one in vars(refusals).values() if isinstance(one, type) and issubclass(one, ServiceError)}
    assert named - {ServiceError} == STATUSES.keys()


def test_duplicates(workspace: Workspace, named: str) -> None:
    of, service = ("--workspace", named), workspace.service
    email = {"identifier": "email", "resolve_ties_using": "updated_at", "prioritization": "newest"}
    phone = {"identifier": "phone", "resolve_ties_using": "created_at", "prioritization": "oldest"}
    assert json.loads(run("duplicates", "rules", *of)) == {"merge_rules": [email]}
    set_rules = ("duplicates", "rules", "--set", "phone:created_at:oldest", "--set", "email", *of)
    assert json.loads(run(*set_rules)) == {"merge_rules": [phone, email]}
    for wrong in ("mail", "email:x", "email:updated_at:x"):
        assert "A" in run("duplicates", "rules", "--set", wrong, *of, fails=True)
    run("duplicates", "rules", "--set", "email", "--set", "email", *of, fails=True)
    people(workspace, 2, size=2)
    (first, second) = json.loads(run("duplicates", "preview", "--by", "email", "--json", *of))
    assert (first["keep"]["external_id"], second["profiles"]) == ("c0", 2)
    assert len(json.loads(run("duplicates", "preview", "--by", "email", "--limit", "1", "--json", *of))) == 1
    lines = run("duplicates", "preview", "--by", "email", "--csv", *of).splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("Email Address,External ID,")
    run_id = run("duplicates", "merge", "--by", "email", *of).strip()
    assert "under way" in run("duplicates", "merge", *of, fails=True)
    assert "under way" in run("duplicates", "undo", run_id, *of, fails=True)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    (listed,) = json.loads(run("duplicates", "runs", "--json", *of))
    shown = json.loads(run("duplicates", "show", run_id, *of))
    assert listed == shown
    assert (shown["key_name"], shown["merges"]["merged"]) == ("onefold duplicates", 2)
    run("duplicates", "undo", run_id, *of)
    assert work_off(service, after_step=drains(workspace)) == ["done"]
    assert json.loads(run("duplicates", "show", run_id, *of))["undo"]["undone"] == 2
    run("duplicates", "show", "x", *of, fails=True)
    run("duplicates", "undo", "x", *of, fails=True)
    assert json.loads(run("duplicates", "schedule", *of)) == {"enabled": False}
    assert json.loads(run("duplicates", "schedule", "--on", *of)).keys() == {"enabled", "next_run_on"}
    assert json.loads(run("duplicates", "schedule", "--off", *of)) == {"enabled": False}


def test_guards_of_merge_rules(workspace: Workspace, named: str) -> None:
    of = ("--workspace", named)
    run("merges", "guard", "--max-duplicates", "2", "--placeholder-address", "desk@", *of)
    workspace.drain()
    people(workspace, 1, size=3)
    workspace.track({"attributes": [{"external_id": f"d{n}", "email": "desk@shop.org"} for n in range(2)]})
    groups = json.loads(run("duplicates", "preview", "--json", *of))
    assert [group["reason"] for group in groups] == ["junk_identifier", "too_many_holders"]
    run("merges", "guard", "--max-duplicates", "3", "--default-placeholders", *of)
    workspace.drain()
    groups = json.loads(run("duplicates", "preview", "--json", *of))
    assert [group.get("reason") for group in groups] == [None, None]
    run("merges", "guard", "--max-duplicates", "101", *of, fails=True)
