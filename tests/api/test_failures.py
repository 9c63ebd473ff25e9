"""Answers while a server is away: 503 in time and never a 4xx or a 500, and afterwards everything answered 201 is there
once. Requests that were answered 503 may or may not have been stored, as after any lost answer."""

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
import psutil
import pytest
from sqlalchemy.exc import SQLAlchemyError

from app.settings import Settings
from tests.api.harness import Answer, Service, Workspace, checked, running, settings_for
from tests.missing import needed
from tests.polling import until
from tests.servers import PostgresServer, ValkeyServer, postgres, valkey
from tests.stores import prepare

UNAVAILABLE: Final = {"message": "Service Unavailable"}
#: Less than by default, and LIMIT is what clients wait, so that a slow machine fails no test.
ANSWER_SECONDS: Final = 1.0
LIMIT: Final = 2.0


_numbers = itertools.count(1)
#: A database with the newest schema, to copy.
TEMPLATE: Final = "failures_template"


@contextmanager
def started() -> Iterator[tuple[PostgresServer, ValkeyServer]]:
    with needed(postgres(private=True)) as database, needed(valkey()) as redis:
        prepare(database.create_database(TEMPLATE))
        yield database, redis


@pytest.fixture(scope="module")
def mortal() -> Iterator[tuple[PostgresServer, ValkeyServer]]:
    with started() as found:
        yield found


@pytest.fixture
def servers(mortal: tuple[PostgresServer, ValkeyServer]) -> tuple[PostgresServer, ValkeyServer]:
    """Servers to kill: whichever an earlier test left dead is started again."""
    for server in mortal:
        if not server.running:
            server.start()
    return mortal


@pytest.fixture
def own(servers: tuple[PostgresServer, ValkeyServer], tmp_path: Path) -> Iterator[Workspace]:
    database, redis = servers
    url = database.create_database(f"failures{next(_numbers)}", TEMPLATE)
    with running(settings_for(url, redis.url, tmp_path, answer_seconds=ANSWER_SECONDS)) as service:
        yield service.workspace("legacy")


@pytest.fixture(scope="module")
def answer_seconds() -> float:
    """As by default, of the services that nobody kills."""
    return Settings().answer_seconds


def send(workspace: Workspace, name: str) -> tuple[Answer, float]:
    """One request and how long its answer took."""
    began = time.monotonic()
    answer = workspace.track({"attributes": [{"external_id": name, "n": {"inc": 1}}]}, drain=False)
    return answer, time.monotonic() - began


def applied(workspace: Workspace) -> dict[str, int]:
    workspace.service.database.dispose()  # the test's own connections, which may have died with the server
    workspace.drain()
    return {user["external_id"]: user["custom_attributes"]["n"] for user in workspace.stored()}


def test_the_default_leaves_time_for_the_network() -> None:
    assert Settings().answer_seconds <= LIMIT - 0.2


def refuses(workspace: Workspace, name: str, limit: float = LIMIT) -> None:
    answer, took = send(workspace, name)
    assert (answer.status, answer.body) == (503, UNAVAILABLE)
    assert int(answer.headers["Retry-After"]) > 0
    assert took < limit


def check_ledger(workspace: Workspace, accepted: list[str], refused: list[str]) -> None:
    found = applied(workspace)
    assert {name: found.get(name) for name in accepted} == dict.fromkeys(accepted, 1)
    assert set(found) <= {*accepted, *refused}
    assert set(found.values()) == {1}


def test_postgresql_killed(servers: tuple[PostgresServer, ValkeyServer], own: Workspace) -> None:
    database, _ = servers
    accepted, refused = [], []
    for n in range(5):
        assert send(own, f"before {n}")[0].status == 201
        accepted.append(f"before {n}")
    for round_ in range(2):
        database.kill9()
        for n in range(5):
            refuses(own, f"down {round_} {n}")
            refused.append(f"down {round_} {n}")
        until(lambda: own.service.send("GET", "/readyz").status == 503)  # an answer is kept for a second
        assert own.service.send("GET", "/livez").status == 200
        export = own.post("/users/export/ids", {"external_ids": ["before 0"]}, drain=False)
        assert (export.status, export.body) == (503, UNAVAILABLE)
        assert own.post("/users/track", {"attributes": [{}]}, drain=False).status == 400  # needs no database
        database.start()
        # A connection of the pool that died with the server may cost one more 503, never more than the pool holds.
        for n in range(20):
            answer, _ = send(own, f"after {round_} {n}")
            (accepted if answer.status == 201 else refused).append(f"after {round_} {n}")
            assert answer.status in (201, 503)
        assert answer.status == 201
        until(lambda: own.service.send("GET", "/readyz").status == 200)
    until(lambda: drains(own))
    check_ledger(own, accepted, refused)


def drains(workspace: Workspace) -> bool:
    """Whether the applier gets through; its own dead connections cost it an attempt each."""
    try:
        workspace.drain()
    except SQLAlchemyError:
        return False
    return True


def test_an_unknown_key_while_postgresql_is_down(servers: tuple[PostgresServer, ValkeyServer], own: Workspace) -> None:
    """A key that cannot be looked up is no wrong key: 503, since a client gives up for good on 401."""
    servers[0].kill9()
    answer, took = send(own, "x")
    assert (answer.status, answer.body) == (503, UNAVAILABLE)
    assert took < LIMIT
    headers = {"Authorization": "Bearer nonsense", "Content-Type": "application/json"}
    assert own.service.send("POST", "/users/track", b"{}", headers).status == 401  # cannot be one of ours


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """Every process of the server stops, as on a machine that hangs: connections stay open and nobody answers."""
    main = psutil.Process(server.pid)
    pids = [main.pid, *(child.pid for child in main.children(recursive=True))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_postgresql_hangs(servers: tuple[PostgresServer, ValkeyServer], own: Workspace) -> None:
    accepted = ["before"]
    assert send(own, "before")[0].status == 201
    with stopped(servers[0]):
        refuses(own, "hanging 0")
        refuses(own, "hanging 1")
    until(lambda: send(own, "after")[0].status == 201)
    found = applied(own)
    assert found["before"] == 1
    assert found["after"] >= 1
    assert set(found) <= {*accepted, "after", "hanging 0", "hanging 1"}


@pytest.mark.parametrize(
    "path",
    [
        "/users/export/ids",
        "/users/track/sync",
        "/users/track/bulk",
        "/v1/merges?external_id=a",
        "/readyz",
        "a key to look up again",
        "a new key",
    ],
)
def test_other_requests_while_postgresql_hangs(
    servers: tuple[PostgresServer, ValkeyServer], own: Workspace, path: str
) -> None:
    """Whatever needs the database is answered 503 in time, not when the database comes back."""
    if path != "a new key":
        assert send(own, "before")[0].status == 201
    if path == "a key to look up again":
        asked = own.service.send("GET", "/v1/requests/x", headers=own.headers())
        assert asked.status == 404
        own = replace(own, key=own.service.key(own.id, "users.track"))
    with stopped(servers[0]):
        began = time.monotonic()
        request = own.service._client.build_request(
            "GET" if path.startswith(("/v1", "/readyz")) else "POST",
            path if path.startswith("/") else "/users/track",
            content=None
            if path.startswith(("/v1", "/readyz"))
            else b'{"external_ids":["a"],"attributes":[{"external_id":"a"}]}',
            headers=own.headers(),
        )
        response = own.service.loop.run(within(own.service._client.send(request), 5.0))
        took = time.monotonic() - began
    assert response is not None, "no answer while the database hangs"
    assert checked(response.status_code, response.headers, response.content).status == 503
    assert took < LIMIT


async def within(response: Coroutine[None, None, httpx.Response], seconds: float) -> httpx.Response | None:
    try:
        return await asyncio.wait_for(response, seconds)
    except TimeoutError:
        return None


def test_valkey_killed(servers: tuple[PostgresServer, ValkeyServer], own: Workspace) -> None:
    """Quotas go on by the process's own share, doorbells are lost; accepting and reading go on."""
    accepted = []
    _, redis = servers
    assert send(own, "before")[0].status == 201
    redis.kill9()
    for n in range(20):
        answer, took = send(own, f"down {n}")
        assert answer.status == 201
        assert took < 2.0
        assert int(answer.headers["X-RateLimit-Limit"]) > 0
        accepted.append(f"down {n}")
    assert own.post("/users/export/ids", {"external_ids": ["before"]}, drain=False).status == 201
    assert applied(own) == dict.fromkeys(["before", *accepted], 1)
    assert own.user("before")["custom_attributes"] == {"n": 1}
    redis.start()
    assert send(own, "after")[0].status == 201
    assert applied(own)["after"] == 1


def test_a_workspace_that_is_gone(service: Service) -> None:
    """Its counters are deleted under a key that is still remembered: 403, and the other workspaces go on."""
    gone, other = service.workspace(), service.workspace()
    assert send(gone, "x")[0].status == 201
    database = service.database
    with database.write(database.inbox) as connection:
        connection.exec_driver_sql(f"delete from inbox_head where workspace_id = {gone.id}")
    answer, _ = send(gone, "y")
    assert (answer.status, answer.body) == (403, {"message": "The workspace was deleted"})
    assert send(other, "x")[0].status == 201


@contextmanager
def locked(service: Service, table: str) -> Iterator[None]:
    """Somebody holds what a request needs, longer than anybody waits. SQLite has one lock for all writers of a file."""
    database = service.database
    engine = database.inbox if table == "inbox_head" else database.main
    with engine.connect().execution_options(onefold_write=True) as connection, connection.begin() as transaction:
        if database.is_postgresql:
            connection.exec_driver_sql(f"lock table {table} in access exclusive mode")
        yield
        transaction.rollback()


def test_an_accept_that_has_to_wait_for_a_lock(service: Service) -> None:
    workspace = service.workspace()
    with locked(service, "inbox_head"):
        refuses(workspace, "a", LIMIT + 1)  # the same
    until(lambda: send(workspace, "b")[0].status == 201)
    assert set(applied(workspace)) - {"a"} == {"b"}


def test_an_export_spends_its_time_on_waiting_and_reading(on_postgres: Service) -> None:
    """Queued writes that nobody applies, and then profiles that cannot be read: both waits fit into one answer."""
    workspace = on_postgres.workspace()
    assert send(workspace, "a")[0].status == 201
    workspace.drain()
    assert send(workspace, "b")[0].status == 201
    with locked(on_postgres, "profile"):
        began = time.monotonic()
        answer = workspace.post("/users/export/ids", {"external_ids": ["a"]}, drain=False)
        assert (answer.status, answer.body) == (503, UNAVAILABLE)
        assert time.monotonic() - began < LIMIT + 1  # the default budget, on a machine that may be slow
    assert applied(workspace) == {"a": 1, "b": 1}
