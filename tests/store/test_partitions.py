"""Ageing out on both stores: what is over goes, what is not applied stays, and starting together is harmless."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from sqlalchemy import event, text

from app.contract import kinds
from app.domain.commands import STREAMS
from app.domain.times import DAY, HOUR
from app.store import dead_letters, lane, partitions, past, workspaces
from app.store.chunks import CHUNK, CHUNK_BYTES, fitting
from app.store.engine import Database
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry, IdempotencyKey, Stored
from app.store.tables import INBOX_TABLES
from tests.busy import applier_of
from tests.store.inboxes import append, apply_up_to, kept
from tests.stores import NOW_US, workspace
from workers import replay

OLD_US = NOW_US - 30 * HOUR


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
                text("insert into problem values (1, 0, :n, :day, '[]')"),
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


#: Rows of each table that are over, as statements: the k-th of a hundred thousand.
OVER: Final = {
    "inbox": "insert into inbox values (1, 0, :n, :day * 24, 1, 1, :body, 0)",
    "idempotency": "insert into idempotency values (1, :body, :day, :body, 0, :n, 0, :body)",
    "problem": "insert into problem values (1, 0, :n, :day, '[]')",
    "occurrence": "insert into occurrence values (1, :day, 0, :n, 0, 1, 1, 0, null, null, 1, 0)",
}


@pytest.mark.parametrize("table", OVER)
def test_ageing_holds_nobody_up_for_long(database: Database, table: str) -> None:
    """However much is over: no transaction deletes more than a few rows, and none that is needed."""
    rows, day = 2 * CHUNK + 100, NOW_US // DAY - 60  # on PostgreSQL they lie in the default partition
    workspace(database)
    engine = database.inbox if table in INBOX_TABLES else database.main
    with database.write(engine) as connection:
        values = [{"n": n, "day": day, "body": b"%d" % n} for n in range(1, rows + 1)]
        connection.execute(text(OVER[table]), [*values, {"n": rows + 1, "day": NOW_US // DAY, "body": b"new"}])
    with database.write() as connection:
        connection.execute(text(f"update lane set cursor_normal = {rows}"))
    deleted: list[int] = []

    @event.listens_for(engine, "after_cursor_execute")
    def count(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        if statement.startswith(f"delete from {table}"):
            deleted.append(cursor.rowcount)

    partitions.expire(database, NOW_US, 24)
    assert sum(deleted) == rows
    assert max(deleted) <= CHUNK
    with database.read(engine) as connection:
        assert connection.execute(text(f"select count(*) from {table}")).scalar() == 1


def test_large_rows_are_deleted_a_few_at_a_time() -> None:
    @dataclass
    class Row:
        size: int

    rows = [Row(CHUNK_BYTES + 1), Row(CHUNK_BYTES // 2), Row(CHUNK_BYTES // 2), Row(1)]
    assert fitting(rows) == rows[:1]
    assert fitting(rows[1:]) == rows[1:3]
    assert fitting([]) == []


def test_the_order_of_what_is_gone_is_forgotten(database: Database) -> None:
    """A workspace that changes streams with each request would have a row for each, for ever."""
    one, two = workspace(database, "one"), workspace(database, "two")
    secret = workspaces.secret(database, one)
    body = Entry(kinds.TRACK, 1, b'{"attributes":[{"external_id":"a","n":{"inc":1}}]}')
    for number in (one, two):
        for n in range(3):
            for stream in STREAMS:
                with database.write(database.inbox) as connection:
                    inbox.append(connection, number, stream, [body], NOW_US - (48 - n) * HOUR)
                applier_of(database).drain(number)
    with database.read() as connection:
        before = lane.ranges(connection, one)
        assert len(before) == 6
    bounds = past.Bounds(dead_letters=10, dead_letter_bytes=10)
    assert past.trim(database, bounds) == {}  # all of it can be replayed
    with database.write(database.inbox) as connection:
        connection.execute(text(f"delete from inbox where workspace_id = {one} and seq <= 2"))
        connection.execute(text(f"delete from inbox where workspace_id = {two}"))
    assert past.trim(database, bounds) == {"applied": 4 + 5}  # the last one may still grow
    assert past.trim(database, bounds) == {}
    with database.read() as connection:
        assert lane.ranges(connection, one) == before[4:]
    with pytest.raises(LookupError):
        replay.reference(database, one, secret)
    with database.write(database.inbox) as connection:
        inbox.append(connection, two, 1, [body], NOW_US)
    applier_of(database).drain(two)
    with database.read() as connection:
        assert [found[:3] for found in lane.ranges(connection, two)] == [(1, 3, 4)]


def test_dead_letters_are_kept_within_bounds(database: Database) -> None:
    """The oldest go. One whose request a replay meets stays, and another workspace loses nothing."""
    one, two = workspace(database, "one"), workspace(database, "two")
    with database.write() as connection:
        for number, letters in ((one, 6), (two, 3)):
            for n in range(1, letters + 1):
                request = Stored(0, n, kinds.TRACK, 1, b"x" * 100, NOW_US + n)
                dead_letters.bury(connection, number, request, "LookupError", NOW_US)
    with database.write(database.inbox) as connection:
        for number in (one, two):
            inbox.append(connection, number, 0, [Entry(1, 1, b"{}")] * 6, NOW_US)
        connection.execute(text("delete from inbox where seq <= 1"))
    assert past.trim(database, past.Bounds(dead_letters=3, dead_letter_bytes=250)) == {
        "dead_bodies": 4 + 1,
        "dead_letters": 1,
    }
    with database.read() as connection:
        rows = connection.execute(text("select workspace_id, seq, length(body) from dead order by 1, 2")).all()
    kept = [(one, n, 100 * (n > 4)) for n in range(2, 7)] + [(two, n, 100 * (n > 1)) for n in range(1, 4)]
    assert [tuple(row) for row in rows] == kept
