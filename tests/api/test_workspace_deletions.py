"""Deleting a workspace: at once nothing is accepted, in the end nothing of it is left, and nobody else notices."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import text
from sqlmodel import SQLModel

from app.adapters import workspace_keys
from app.bootstrap import background
from app.contract import errors
from app.services import workspace_deletions as services
from app.services.accepting.refused_requests import RefusedRequests
from app.services.api_usage import UsageCounter
from app.services.caller import Caller
from app.services.calls import StoreCalls, Threads
from app.store import chunks, keys, workspace_deletions, workspaces
from app.store.engine import Database
from app.store.tables import INBOX_TABLES
from tests.accepting import send_signed
from tests.api.harness import Service, Workspace, times_now
from tests.api.jobs import work_off
from tests.api.poison import poison
from tests.api.reference import equal
from tests.applying import applier
from tests.command_line import command_line
from workers import rates, values
from workers.jobs.upkeep import tidy
from workers.retention import Retention
from workers.segments import record
from workers.workspaces import WorkspaceDeleter

MARK = "xyzzy"


def fill(workspace: Workspace) -> None:
    """Something in as many tables as requests can reach."""
    alias = {"alias_label": MARK, "alias_name": f"{MARK} guest"}
    group = {"id": f"{MARK}-group", "name": f"{MARK} news", "channel": "email"}
    assert workspace.post("/v1/subscription_groups", group).status == 201
    workspace.add_segment(id=f"{MARK}-segment", name=f"{MARK} people", tracked=True)
    workspace.track(
        {
            "attributes": [
                {"external_id": MARK, "email": f"{MARK}@example.org", MARK: [MARK], "email_subscribe": "opted_in"},
                {"user_alias": alias, "_update_existing_only": False, "first_name": MARK},
                {"external_id": f"{MARK} 2", "nested": {MARK: MARK * 1_000}},
                {"user_alias": {**alias, "alias_name": "nobody"}, "first_name": MARK},
            ],
            "events": [{"external_id": MARK, "name": MARK, "time": "2030-01-01T00:00:00Z", "properties": {"p": MARK}}],
            "purchases": [
                {"external_id": MARK, "product_id": MARK, "currency": "USD", "price": 1, "time": "2030-01-01T00:00:00Z"}
            ],
        },
        Idempotency_Key=MARK,
    )
    who = {"identifier_to_merge": {"user_alias": alias}, "identifier_to_keep": {"external_id": MARK}}
    workspace.post("/users/merge", {"merge_updates": [who]})
    workspace.post("/users/delete", {"external_ids": [f"{MARK} 2"]})
    workspace.post("/v1/flags", {"flags": [{"external_id": MARK, "global_control_group": True}]})
    workspace.change(time_zone="Asia/Kolkata")
    poison(workspace, f'{{"attributes":[[0,["{MARK}"],[]]]}}'.encode())
    workspace.service.drain(workspace.id)
    assert workspace.post("/users/export/global_control_group", {}, drain=False).status == 201
    assert work_off(workspace.service)[-1] == "done"
    values.tick(workspace.service.database, times_now())
    workspace.post("/users/track/bulk", {"attributes": [{"external_id": f"{MARK} queued"}]}, drain=False)


def rows(database: Database, workspace_id: int) -> dict[str, int]:
    """How many rows of a workspace each table has."""
    found = {}
    for table in SQLModel.metadata.sorted_tables:
        if "workspace_id" in table.c and table.name != "workspace_deletion":
            engine = database.inbox if table.name in INBOX_TABLES else database.main
            with database.read(engine) as connection:
                count = f"select count(*) from {table.name} where workspace_id = {workspace_id}"
                found[table.name] = int(connection.execute(text(count)).scalar_one())
    return {name: number for name, number in found.items() if number}


def mentions(database: Database, word: str) -> list[str]:
    """Tables that have a text anywhere in a row."""
    found = []
    for table in SQLModel.metadata.sorted_tables:
        engine = database.inbox if table.name in INBOX_TABLES else database.main
        with database.read(engine) as connection:
            if any(word in str(cell) for row in connection.execute(table.select()) for cell in row):
                found.append(table.name)
    return found


def keys_of(service: Service, workspace_id: int) -> list[str]:
    client = redis.Redis.from_url(service.settings.redis())
    names = [name.decode() for name in client.scan_iter(f"{service.settings.key_prefix}*", count=1_000)]
    client.close()
    number = str(workspace_id)
    return [name for name in names if f"{{{number}}}" in name or f":{number}:" in name]


def files_of(service: Service, workspace_id: int) -> list[Path]:
    folder = service.settings.files_directory() / str(workspace_id)
    return list(folder.iterdir()) if folder.exists() else []


def forgetter(service: Service) -> Any:
    settings = service.settings
    return lambda number: workspace_keys.forget(settings.redis(), settings.key_prefix, number)


def delete(workspace: Workspace, name: str | None = None) -> Any:
    with workspace.service.database.read() as connection:
        own = connection.execute(text(f"select name from workspace where id = {workspace.id}")).scalar()
    path = f"/v1/workspaces/{name or own}"
    return workspace.service.send("DELETE", path, None, workspace.headers()), str(own)


def test_nothing_is_left_and_nobody_else_notices(service: Service, workspace: Workspace) -> None:
    database, neighbour = service.database, service.workspace("legacy")
    neighbour.track({"attributes": [{"external_id": "ada", "tier": "gold"}]})
    fill(workspace)
    there = rows(database, workspace.id)
    few = {"erasure", "lineage", "merge_record", "history", "deletion", "problem", "dead", "job", "job_part", "segment"}
    assert few <= there.keys()
    assert keys_of(service, workspace.id)
    assert files_of(service, workspace.id)
    answer, name = delete(workspace)
    assert (answer.status, answer.body["state"]) == (202, "deleting")
    refused = workspace.track({"attributes": [{"external_id": "lateness42"}]})
    assert (refused.status, refused.message) == (403, errors.WORKSPACE_DELETED)
    assert mentions(database, "lateness42") == []
    # Periodic work goes on beside it, and finds no such workspace any more.
    now = times_now()
    assert rates.announce(database, 30_000, now) >= 1
    record(database, now)
    deleter = WorkspaceDeleter(database, forgetter(service), lambda: now)
    while deleter.look():
        pass
    assert rows(database, workspace.id) == {}
    assert workspace.track({"attributes": [{"external_id": "late"}]}).status in (401, 403)
    assert workspaces.number(workspaces.create(database, name, "legacy", now)) > workspace.id
    # Whoever was at it when it began may have written a row behind the look.
    with database.write() as connection:
        insert = "insert into segment_size (workspace_id, segment_id, day, size) values (:w, 'late', 1, 1)"
        connection.execute(text(insert), {"w": workspace.id})
    now += workspace_deletions.GRACE_US
    while deleter.look():
        pass
    with database.read() as connection:
        (left,) = [one for one in workspace_deletions.listed(connection) if one.workspace_id == workspace.id]
        assert workspace.id not in [one.workspace_id for one in workspace_deletions.unfinished(connection)]
    assert left.finished_us == now
    assert rows(database, workspace.id) == {}
    assert mentions(database, MARK) == []
    assert keys_of(service, workspace.id) == []
    files = background.files(service.settings)
    tidy(database, files, times_now)
    assert not (files.directory / str(workspace.id)).exists()
    assert files_of(service, workspace.id) == []
    if not database.is_postgresql:
        folder = Path(str(service.settings.data_dir))
        holding = [path.name for path in folder.glob("*.db*") if MARK.encode() in path.read_bytes()]
        assert holding == []
    Retention(database, times_now, 24).work(times_now())
    assert [user["external_id"] for user in neighbour.stored()] == ["ada"]
    assert neighbour.track({"attributes": [{"external_id": "bob"}]}).status == 201
    assert equal(neighbour)


def test_it_goes_on_wherever_it_was_stopped(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call of the work is a new beginning: it keeps nothing in memory. Here it stops after each table."""
    database = service.database
    workspace.track({"attributes": [{"external_id": f"u{n}"} for n in range(60)]})
    services.begin(database, _caller(workspace), times_now())
    monkeypatch.setattr(chunks, "SECONDS", 0.0001)
    monkeypatch.setattr(chunks, "CHUNK", 7)
    before, calls = rows(database, workspace.id), 0
    while before:
        with database.read() as connection:
            deletions = {one.workspace_id: one for one in workspace_deletions.unfinished(connection)}
        workspace_deletions.work(database, deletions[workspace.id], times_now())
        calls += 1
        after = rows(database, workspace.id)
        assert sum(after.values()) < sum(before.values())
        before = after
    assert calls > 5
    assert workspace.service.drain(workspace.id).requests == 0


def test_what_waited_in_memory_is_not_written_behind_it(service: Service, workspace: Workspace) -> None:
    """An API process keeps rows while the database is away, maybe until the deletion is long finished."""
    database, caller, neighbour = service.database, _caller(workspace), _caller(service.workspace())

    async def write(*, first: bool) -> None:
        threads = Threads("late", 1)
        calls = StoreCalls(threads, 30.0)
        counter = UsageCounter(database, calls, times_now)
        refused = RefusedRequests(database, calls, times_now, 10)
        for each in (caller, neighbour):
            counter.count(each, "POST /users/track", 403)
            refused.note(each, "POST /users/track", 403, "no")
        if not first:
            services.begin(database, caller, times_now())
            deleter = WorkspaceDeleter(database, forgetter(service), times_now)
            while deleter.look():
                pass
        await asyncio.gather(counter.flush(), refused.flush())
        await threads.aclose()

    for first in (True, False):
        asyncio.run(write(first=first))
        found = [rows(database, each.workspace_id) for each in (caller, neighbour)]
        written = [{name: each.get(name, 0) for name in ("api_usage", "refused_request")} for each in found]
        assert written == [
            {"api_usage": int(first), "refused_request": int(first)},
            {"api_usage": 1, "refused_request": 2 - int(first)},
        ]


def _caller(workspace: Workspace) -> Caller:
    return Caller.operator(keys.of_workspace(workspace.service.database, workspace.id), "")


def test_its_own_name_has_to_be_given(workspace: Workspace) -> None:
    answer, _ = delete(workspace, "another")
    assert (answer.status, answer.message) == (404, errors.UNKNOWN_WORKSPACE)
    assert workspace.track({"attributes": [{"external_id": "ada"}]}).status == 201


def test_the_permission(service: Service, workspace: Workspace) -> None:
    key = service.key(workspace.id, "users.track", "admin.limits")
    headers = {"Authorization": f"Bearer {key}"}
    assert service.send("DELETE", "/v1/workspaces/x", None, headers).status == 403


def test_the_commands(tmp_path: Path) -> None:
    run = command_line(tmp_path)
    run("migrate")
    run("workspaces", "create", "default")
    run("workspaces", "create", "acme")
    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    send_signed(database, 2, "/users/track", {"attributes": [{"external_id": "ada"}]})
    applier(database).drain(2)
    assert "No workspace" in run("workspaces", "delete", "eve", fails=True)
    assert "No workspace" in run("workspaces", "delete", workspaces.CANARY, "--yes", fails=True)
    assert "Nothing was deleted" in run("workspaces", "delete", "acme", typed="default\n", fails=True)
    assert "acme" in run("workspaces", "list")
    assert "acme deleted" in run("workspaces", "delete", "acme", typed="acme\n")
    assert rows(database, 2) == {}
    assert "acme" not in run("workspaces", "list")
    assert run("workspaces", "deletions", "--json").count("emptied_at") == 1
    run("workspaces", "create", "acme")
    assert workspaces.number(workspaces.get(database, "acme")) == 3  # a number is never used again
    run("workspaces", "delete", "default", "--yes")
    assert "acme" in run("workspaces", "list")
    database.dispose()
