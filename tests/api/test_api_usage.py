"""Usage of the API: every answer is counted by key, endpoint and status, off the path of the request, and bounded."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.times import HOUR, MINUTE
from app.services import api_usage
from app.services.api_usage import UsageCounter, UsageFilter
from app.services.caller import Caller
from app.services.calls import StoreCalls, Threads
from app.store import api_usage as store
from app.store import apps, keys
from app.store.api_usage import NO_WORKSPACE, Place
from app.store.engine import Database
from tests.api.harness import Service, Workspace
from tests.polling import until
from tests.stores import NOW_US
from tests.stores import workspace as new_workspace
from workers.retention import Retention, UsageKept

#: Whoever waits for a row in a database.
LOCKED = text("select count(*) from pg_stat_activity where datname = :name and wait_event_type = 'Lock'")
EVER = UsageFilter(0, 2**40)
TRACK, JOB = "POST /users/track", "GET /v1/jobs/{id}"


def used(service: Service, workspace_id: int) -> dict[tuple[str, str, int], int]:
    """{(key, endpoint, status): answers}, with those of this moment."""
    service.loop.run(service.services.usage_counter.flush())
    with service.database.read() as connection:
        found = store.sums(connection, workspace_id, EVER.first, EVER.last)
    return {(one.key_id, one.endpoint, one.status): one.count for one in found}


def test_answers_by_key_endpoint_and_status(service: Service, workspace: Workspace) -> None:
    nobody = used(service, NO_WORKSPACE).get(("", TRACK, 401), 0)
    poor = service.key(workspace.id, "users.track")
    first, second = keys.public_id(workspace.key), keys.public_id(poor)
    for body, status in (({"attributes": [{"external_id": "a"}]}, 201), ({}, 400), (b"{", 400)):
        assert workspace.track(body).status == status
    for key, path, status in (
        (poor, "/v1/jobs", 403),
        (workspace.key, "/v1/jobs/<script>", 404),
        ("made-up", "/v1/jobs", 401),
        (workspace.key, "/nowhere", 404),
    ):
        assert service.send("GET", path, None, {"Authorization": f"Bearer {key}"}).status == status
    assert workspace.service.send("POST", "/users/track", b"{}", {"Content-Type": "application/json"}).status == 401
    assert used(service, workspace.id) == {
        (first, TRACK, 201): 1,
        (first, TRACK, 400): 2,
        (first, "GET /v1/jobs/{id}", 404): 1,
        (second, "GET /v1/jobs", 403): 1,
    }
    assert used(service, NO_WORKSPACE)["", TRACK, 401] == nobody + 1


def test_an_app_is_counted_by_its_id(on_sqlite: Service) -> None:
    workspace = on_sqlite.workspace()
    headers = workspace.headers_for("/v1/sdk/data")
    assert on_sqlite.send("POST", "/v1/sdk/data", b"{}", headers).status == 400
    with on_sqlite.database.read() as connection:
        (app_id,) = apps.ids(connection, workspace.id)
    assert used(on_sqlite, workspace.id) == {(app_id, "POST /v1/sdk/data", 400): 1}


def caller(database: Database, number: int) -> Caller:
    return Caller.operator(keys.of_workspace(database, number), "")


def test_processes_add_to_the_same_rows(database: Database) -> None:
    """Each with a thread of its own: their rows overlap, and nothing is lost."""
    numbers = [new_workspace(database, f"w{n}") for n in range(3)]
    callers = [caller(database, number) for number in numbers]

    async def run() -> None:
        threads = Threads("usage", 4)
        counters = [UsageCounter(database, StoreCalls(threads, 30.0), lambda: NOW_US) for _ in range(4)]
        for _ in range(5):
            for n, counter in enumerate(counters):
                for one in callers[:: 1 if n % 2 else -1]:
                    for status in (201, 400, 429):
                        counter.count(one, TRACK, status)
                counter.count(None, JOB, 401)
            await asyncio.gather(*(counter.flush() for counter in counters))
        await threads.aclose()
        assert [(counter.lost, counter._waiting) for counter in counters] == [(0, {})] * 4

    asyncio.run(run())
    for one in callers:
        assert [(s.endpoint, s.status, s.count) for s in api_usage.sums(database, one, EVER)] == [
            (TRACK, 201, 20),
            (TRACK, 400, 20),
            (TRACK, 429, 20),
        ]
        assert api_usage.minutes(database, one, UsageFilter(0, 2**40, endpoint=TRACK)) == [
            (NOW_US // MINUTE, status, 20) for status in (201, 400, 429)
        ]
        assert api_usage.sums(database, one, UsageFilter(0, 2**40, key_id="another")) == []
    with database.read() as connection:
        assert {(s.endpoint, s.status): s.count for s in store.sums_of_all(connection, 0, 2**40)} == {
            (JOB, 401): 20,
            (TRACK, 201): 60,
            (TRACK, 400): 60,
            (TRACK, 429): 60,
        }


def test_an_outage_costs_no_count_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", pool_size=1)
    monkeypatch.setattr(api_usage, "MAX_WAITING", 3)

    async def run() -> None:
        threads = Threads("usage", 1)
        counter = UsageCounter(away, StoreCalls(threads, 10.0), lambda: NOW_US)
        for status in (200, 400, 400):
            counter.count(None, JOB, status)
        await counter.flush()
        for status in (400, 500, 503, 503, 200):
            counter.count(None, JOB, status)
        await counter.flush()
        minute = NOW_US // MINUTE
        assert counter._waiting == {
            Place(NO_WORKSPACE, minute, "", JOB, 200): 2,
            Place(NO_WORKSPACE, minute, "", JOB, 400): 3,
            Place(NO_WORKSPACE, minute, "", JOB, 500): 1,
        }
        assert counter.lost == 2
        await threads.aclose()

    asyncio.run(run())
    away.dispose()


class Apart(Database):
    """Each workspace on a node of its own."""

    def by_node(self, items: Iterable[Any], workspace_of: Callable[[Any], int]) -> list[list[Any]]:
        return [[*part] for _, part in groupby(sorted(items), workspace_of)]


def test_a_node_that_hangs_makes_nobody_else_count_twice(database: Database) -> None:
    if not database.is_postgresql:
        pytest.skip("SQLite has no nodes")
    numbers = [new_workspace(database, name) for name in ("one", "two")]
    places = {Place(number, NOW_US // MINUTE, "", TRACK, 201): 1 for number in numbers}
    store.add(database, places)
    apart = Apart(database.url)

    def given_up() -> bool:
        with database.read() as connection:
            return bool(connection.execute(LOCKED, {"name": database.main.url.database}).scalar() == 0)

    async def run() -> None:
        threads = Threads("usage", 1)
        counter = UsageCounter(apart, StoreCalls(threads, 0.5), lambda: NOW_US)
        counter._waiting = dict(places)
        with database.write() as holder:
            holder.execute(text("update api_usage set count = count where workspace_id = :id"), {"id": numbers[1]})
            await counter.flush()
            assert [place.workspace_id for place in counter._waiting] == numbers[1:]
            until(given_up)
        await counter.flush()
        assert counter._waiting == {}
        await threads.aclose()

    asyncio.run(run())
    callers = [caller(database, number) for number in numbers]
    assert [[s.count for s in api_usage.sums(database, one, EVER)] for one in callers] == [[2], [2]]
    apart.dispose()


def test_old_rows_and_too_many_go(database: Database) -> None:
    first, second = new_workspace(database, "a"), new_workspace(database, "b")
    minute = NOW_US // MINUTE
    counts = {Place(first, minute - n, "k", JOB, 200): 1 for n in range(150)}
    counts |= {Place(second, minute - n, "k", endpoint, 200): 1 for n in range(3) for endpoint in (TRACK, JOB)}
    store.add(database, counts)
    Retention(database, lambda: NOW_US, 24, usage=UsageKept(hours=2, rows=4)).work(NOW_US)
    kept = UsageFilter(0, 2**40)
    # The oldest minute that has to go goes whole.
    assert [m for m, _, _ in api_usage.minutes(database, caller(database, first), kept)] == [
        minute - n for n in (3, 2, 1, 0)
    ]
    assert [m for m, _, _ in api_usage.minutes(database, caller(database, second), kept)] == [minute - 1, minute]
    later = NOW_US + 3 * HOUR
    Retention(database, lambda: later, 24, usage=UsageKept(hours=2)).work(later)
    assert api_usage.sums(database, caller(database, first), kept) == []


def test_what_is_counted_is_stored_by_and_by_and_at_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_usage, "SECONDS", 0.01)
    one = caller(database, new_workspace(database))

    def stored() -> int:
        return sum(found.count for found in api_usage.sums(database, one, EVER))

    async def run() -> None:
        threads = Threads("usage", 1)
        counter = UsageCounter(database, StoreCalls(threads, 30.0), lambda: NOW_US)
        counter.start()
        counter.count(one, JOB, 200)
        await asyncio.to_thread(until, lambda: stored() == 1)
        monkeypatch.setattr(api_usage, "SECONDS", 3600.0)
        counter.count(one, JOB, 200)
        await counter.aclose()
        await threads.aclose()

    asyncio.run(run())
    assert stored() == 2
