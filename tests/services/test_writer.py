"""What one commit of the coalescing writer takes: so many requests of a stream, so many bytes, in turn."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Transaction, text
from structlog.testing import capture_logs

from app.domain.commands import StreamKey
from app.services.accepting.writer import MAX_FLUSH_BYTES, MAX_GROUP, InboxWriter
from app.services.refusals import UnavailableError
from app.store import migrate, partitions
from app.store.engine import Database
from app.store.inbox.log import Appended, Entry, IdempotencyKey
from tests.servers import PostgresServer
from tests.stores import NOW_US, workspace

MEGABYTE = 1024 * 1024
Sizes = list[tuple[int, int]]


def flushes(tmp: Path, sizes: Sizes) -> list[list[tuple[StreamKey, list[int]]]]:
    """The commits that (workspace, bytes) in the order of their arrival become: numbers of the requests by stream."""

    async def take() -> list[list[tuple[StreamKey, list[int]]]]:
        writer = InboxWriter(Database(f"sqlite:///{tmp}/x.db"), lambda: 0, 1.0, lambda _stream: None)
        loop = asyncio.get_running_loop()
        for number, (workspace_id, size) in enumerate(sizes):
            waiter = (Entry(number, 1, bytes(size)), loop.create_future())
            writer._pending.setdefault(StreamKey(workspace_id, 0), []).append(waiter)
        taken = []
        while writer._pending:
            taken.append([(key, [entry.kind for entry, _ in waiters]) for key, waiters in writer._take()])
        await writer.aclose()
        return taken

    return asyncio.run(take())


def test_large_bodies_of_one_stream_do_not_hold_up_the_others(tmp_path: Path) -> None:
    sizes = [(7, 4 * MEGABYTE)] * 20 + [(3, 10), (9, 10)]
    first, second, *more = flushes(tmp_path, sizes)
    assert first == [((7, 0), [0, 1, 2, 3])]
    assert second == [((3, 0), [20]), ((7, 0), [4, 5, 6, 7]), ((9, 0), [21])]
    assert len(more) == 3


def test_small_requests_share_one_commit(tmp_path: Path) -> None:
    (only,) = flushes(tmp_path, [(workspace, 1_000) for workspace in (5, 1, 3)] * 80)
    assert [key.workspace_id for key, _ in only] == [1, 3, 5]
    first, second = flushes(tmp_path, [(1, 10)] * (MAX_GROUP + 1))
    assert (len(first[0][1]), len(second[0][1])) == (MAX_GROUP, 1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 10, MEGABYTE, 4 * MEGABYTE])), max_size=60))
def test_every_request_once_in_the_order_of_its_stream(sizes: Sizes) -> None:
    seen: dict[int, list[int]] = {}
    for flush in flushes(Path(), sizes):
        assert [key for key, _ in flush] == sorted(key for key, _ in flush)
        assert sum(sizes[number][1] for _, numbers in flush for number in numbers) < MAX_FLUSH_BYTES + 4 * MEGABYTE
        for key, numbers in flush:
            seen.setdefault(key.workspace_id, []).extend(numbers)
    assert Counter(number for numbers in seen.values() for number in numbers) == Counter(range(len(sizes)))
    assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_a_commit_that_fails_is_logged_once_for_all_its_requests(tmp_path: Path) -> None:
    """With what it was, and nothing of theirs."""

    async def fail() -> None:
        writer = InboxWriter(Database(f"sqlite:///{tmp_path}/empty.db"), lambda: 0, 1.0, lambda _stream: None)
        calls = (writer.append(1, 0, Entry(1, 1, b'{"email":"ada@example.org"}')) for _ in range(3))
        assert [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)] == [UnavailableError] * 3
        await writer.aclose()

    with capture_logs() as logs:
        asyncio.run(fail())
    assert logs == [{"event": "append_failed", "log_level": "warning", "requests": 3, "error": "OperationalError"}]


def test_a_locked_counter_row_delays_nobody_else(postgres_server: PostgresServer) -> None:
    """While requests of one workspace wait for its row, and fail, and come again, others are stored at once.

    What waits is stored when the row is free in time, in its order, with what came meanwhile behind it.
    """
    url = postgres_server.create_database("writer_apart")
    database = Database(url)
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    held, free = workspace(database, "held"), workspace(database, "free")
    writing = Database(url, lock_seconds=1.0)

    async def test(end: Transaction) -> tuple[list[object], list[float]]:
        writer = InboxWriter(writing, lambda: NOW_US, 5.0, lambda _stream: None)
        await writer.append(free, 0, Entry(1, 1, b"first"))  # the connection is there
        waiting = [asyncio.create_task(writer.append(held, 0, Entry(1, 1, b"%d" % n))) for n in range(2)]
        delays, began = [], time.monotonic()
        while time.monotonic() - began < 0.5:
            waiting.append(asyncio.create_task(writer.append(held, 0, Entry(1, 1, b"%d" % len(waiting)))))
            sent = time.monotonic()
            await writer.append(free, 0, Entry(1, 1, b"x", IdempotencyKey(b"%d" % len(waiting), b"x")))
            delays.append(time.monotonic() - sent)
            assert not any(task.done() for task in waiting)
        end.rollback()
        stored = await asyncio.gather(*waiting, return_exceptions=True)
        await writer.aclose()
        return list(stored), delays

    try:
        with database.main.connect() as connection, connection.begin() as transaction:
            connection.execute(text("select 1 from inbox_head where workspace_id = :w for update"), {"w": held})
            stored, delays = asyncio.run(test(transaction))
        assert [one.seq for one in stored if isinstance(one, Appended)] == list(range(1, len(stored) + 1))
        # Of the second that the row is waited for. The median, since a busy machine may hold up any single one.
        assert median(delays) < 0.45
    finally:
        writing.dispose()
        database.dispose()


def test_a_locked_counter_row_stops_its_own_workspace_alone(postgres_server: PostgresServer) -> None:
    """Somebody holds the row of one workspace: its requests fail in time, and the others are stored meanwhile."""
    url = postgres_server.create_database("writer_locked")
    database = Database(url)
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    held, free = workspace(database, "held"), workspace(database, "free")
    writing = Database(url, lock_seconds=0.2)

    async def both() -> tuple[object, object]:
        writer = InboxWriter(writing, lambda: NOW_US, 1.5, lambda _stream: None)
        tasks = [writer.append(number, 0, Entry(1, 1, b"x")) for number in (held, free)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        refused_at_once = await asyncio.gather(writer.append(held, 0, Entry(1, 1, b"x")), return_exceptions=True)
        assert isinstance(refused_at_once[0], UnavailableError)
        later = await writer.append(free, 0, Entry(1, 1, b"y"))
        assert later == Appended(2, NOW_US + 2)
        await writer.aclose()
        return results[0], results[1]

    try:
        with database.write() as connection:
            connection.execute(text("select 1 from inbox_head where workspace_id = :w for update"), {"w": held})
            stuck, stored = asyncio.run(both())
        assert isinstance(stuck, UnavailableError)
        assert stored == Appended(1, NOW_US)
    finally:
        writing.dispose()
        database.dispose()
