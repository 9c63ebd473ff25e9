"""The inbox's contract on both stores: numbers without gaps in the order of commits, times that never stand still."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Appended, Entry, Stored, UnknownWorkspaceError
from tests.stores import NOW_US, workspace


def append(
    database: Database, workspace_id: int, stream: int, bodies: list[bytes], now_us: int = NOW_US
) -> list[Appended]:
    with database.write(database.inbox) as connection:
        return inbox.append(connection, workspace_id, stream, [Entry(1, 1, body) for body in bodies], now_us)


def everything(database: Database, workspace_id: int, stream: int, after: int = 0, limit: int = 1000) -> list[Stored]:
    with database.read(database.inbox) as connection:
        return inbox.read(connection, workspace_id, stream, after, 0, limit)


def test_numbers_and_times_of_the_two_streams(database: Database) -> None:
    one = workspace(database)
    assert append(database, one, 0, [b"a", b"b"]) == [Appended(1, NOW_US), Appended(2, NOW_US + 2)]
    assert append(database, one, 1, [b"c"]) == [Appended(1, NOW_US + 1)]
    # a clock that stands still or steps back
    assert append(database, one, 0, [b"d"], NOW_US - 10**9) == [Appended(3, NOW_US + 4)]
    assert everything(database, one, 0) == [
        Stored(0, 1, 1, 1, b"a", NOW_US),
        Stored(0, 2, 1, 1, b"b", NOW_US + 2),
        Stored(0, 3, 1, 1, b"d", NOW_US + 4),
    ]
    assert [request.body for request in everything(database, one, 0, after=1, limit=1)] == [b"b"]
    with database.read(database.inbox) as connection:
        assert inbox.heads(connection) == {(one, 0): 3, (one, 1): 1}
        assert (inbox.head(connection, one, 0), inbox.head(connection, one + 1, 0)) == (3, 0)
        assert inbox.accepted_us(connection, one, 0, 2) == NOW_US + 2
        assert inbox.accepted_us(connection, one, 0, 9) is None


def test_bodies_are_any_bytes(database: Database) -> None:
    one, bodies = workspace(database), [b"", b"\0", bytes(range(256)), b"{}" * 5_000, b"", "é".encode("utf-16")]
    append(database, one, 0, bodies)
    assert everything(database, one, 0, after=6) == []
    assert [request.body for request in everything(database, one, 0)] == bodies
    with database.read(database.inbox) as connection:
        for most, found in ((0, 0), (1, 2), (2, 3), (300, 4), (20_000, 6)):
            assert [request.body for request in inbox.read(connection, one, 0, 0, 0, 100, most)] == bodies[:found]


def test_a_workspace_without_counters_is_refused(database: Database) -> None:
    with pytest.raises(UnknownWorkspaceError):
        append(database, 4711, 0, [b"x"])
    with database.read(database.inbox) as connection:
        assert connection.execute(text("select count(*) from inbox")).scalar() == 0


def test_a_rolled_back_append_leaves_no_gap(database: Database) -> None:
    one = workspace(database)
    append(database, one, 0, [b"a"])

    def fail() -> None:
        with database.write(database.inbox) as connection:
            inbox.append(connection, one, 0, [Entry(1, 1, b"lost")], NOW_US)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    append(database, one, 0, [b"b"])
    assert [(request.seq, request.body) for request in everything(database, one, 0)] == [(1, b"a"), (2, b"b")]


def test_many_writers_number_without_gaps_and_readers_see_prefixes(database: Database) -> None:
    one, writers, each = workspace(database), 4, 25

    def write(number: int) -> list[tuple[int, bytes]]:
        places = []
        for n in range(each):
            body = b"%d/%d" % (number, n)
            places += [(place.seq, body) for place in append(database, one, 0, [body])]
        return places

    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, number) for number in range(writers)]
        seen = 0
        while not all(future.done() for future in running):
            numbers = [request.seq for request in everything(database, one, 0)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= seen
            seen = len(numbers)
        placed = dict(place for future in running for place in future.result())
    stored = everything(database, one, 0)
    assert [request.seq for request in stored] == list(range(1, writers * each + 1))
    assert {request.seq: request.body for request in stored} == placed
    times = [request.accepted_us for request in stored]
    assert times == sorted(set(times))
