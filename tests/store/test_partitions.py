"""Ageing out on both stores: what is over goes, what is not applied stays, and starting together is harmless."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from sqlalchemy import text

from app.domain.times import DAY, HOUR
from app.store import lane, partitions
from app.store.engine import Database
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry, IdempotencyKey
from tests.stores import NOW_US, workspace

OLD_US = NOW_US - 30 * HOUR


def append(database: Database, workspace_id: int, now_us: int, stream: int = 0) -> None:
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, stream, [Entry(1, 1, b"{}")], now_us)


def apply_up_to(database: Database, workspace_id: int, seq: int) -> None:
    """Move the cursor as a drain would."""
    with database.read(database.inbox) as connection:
        requests = inbox.read(connection, workspace_id, 0, 0, 0, seq)
    with database.write() as connection:
        locked = lane.lock(connection, workspace_id)
        assert locked is not None
        lane.advance(connection, workspace_id, locked, requests[-1])


def kept(database: Database, workspace_id: int, stream: int = 0) -> list[int]:
    with database.read(database.inbox) as connection:
        return [request.seq for request in inbox.read(connection, workspace_id, stream, 0, 0, 100)]


def test_applied_requests_age_out_and_queued_ones_never(database: Database) -> None:
    one, two = workspace(database, "one"), workspace(database, "two")
    partitions.prepare(database, OLD_US)
    for now_us in (OLD_US, OLD_US + HOUR, NOW_US):
        append(database, one, now_us)
    append(database, one, OLD_US, stream=1)
    apply_up_to(database, one, 2)
    assert partitions.expire(database, NOW_US, 24)["inbox"] >= 1
    # On PostgreSQL the oldest partition also holds a request of the bulk stream that is still queued: it stays whole.
    assert kept(database, one) == ([1, 3] if database.is_postgresql else [3])
    assert kept(database, one, stream=1) == [1]
    assert partitions.expire(database, NOW_US, 24) == {}
    append(database, two, NOW_US)
    assert kept(database, two) == [1]


def test_problems_and_occurrences_age_out(database: Database) -> None:
    today = NOW_US // DAY
    with database.write() as connection:
        for day in (today - 40, today):
            connection.execute(
                text("insert into problem values (1, 0, :n, 0, 0, :day, 'events', 0, '', 'x')"),
                {"n": day, "day": day},
            )
            connection.execute(
                text("insert into occurrence values (1, :day, 0, :n, 0, 1, 1, 0, null, null, 1, 0)"),
                {"n": day, "day": day},
            )
    partitions.expire(database, NOW_US, 24)
    with database.read() as connection:
        assert connection.execute(text("select day from problem")).scalars().all() == [today]
        assert connection.execute(text("select day from occurrence")).scalars().all() == [today]


def test_idempotency_keys_are_kept_for_a_day(database: Database) -> None:
    today = NOW_US // DAY
    partitions.prepare(database, NOW_US - DAY)
    one, key = workspace(database), IdempotencyKey(b"d", b"f", 201, b"{}")
    with database.write(database.inbox) as connection:
        for day in (today - 2, today - 1, today):
            keyed = Entry(1, 1, b"{}", replace(key, digest=b"%d" % day))
            idempotency.append(connection, one, 0, [keyed], day * DAY)
    partitions.expire(database, NOW_US, 24)
    with database.read(database.inbox) as connection:
        assert connection.execute(text("select day from idempotency order by day")).scalars().all() == [
            today - 1,
            today,
        ]


def test_what_found_no_partition_is_stored_all_the_same(database: Database) -> None:
    one = workspace(database)
    append(database, one, OLD_US)  # nobody made a partition for it
    partitions.prepare(database, OLD_US)
    assert kept(database, one) == [1]
    apply_up_to(database, one, 1)
    partitions.expire(database, NOW_US, 24)
    assert kept(database, one) == []


def test_many_processes_may_start_at_once(database: Database) -> None:
    later = NOW_US + 48 * HOUR
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(partitions.prepare, database, later) for _ in range(8)]:
            done.result()
    one = workspace(database)
    append(database, one, later)
    assert kept(database, one) == [1]
