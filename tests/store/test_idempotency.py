"""Idempotency keys in a flush: what is fresh is appended in order, what is not costs the others nothing."""

import threading

import pytest
from sqlalchemy import text

from app.store.engine import Database
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.idempotency import KeyReusedError, Outcome
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, UnknownWorkspaceError
from tests.polling import until
from tests.stores import NOW_US, workspace


def entry(body: bytes, key: bytes | None = None, fingerprint: bytes = b"f") -> Entry:
    return Entry(1, 1, body, None if key is None else IdempotencyKey(key, fingerprint, 201, b"answer to " + body))


def append(database: Database, workspace_id: int, entries: list[Entry], stream: int = 0) -> list[Outcome]:
    with database.write(database.inbox) as connection:
        return idempotency.append(connection, workspace_id, stream, entries, NOW_US)


def bodies(database: Database, workspace_id: int) -> list[bytes]:
    with database.read(database.inbox) as connection:
        return [request.body for request in inbox.read(connection, workspace_id, 0, 0, 0, 100)]


def described(outcomes: list[Outcome]) -> list[object]:
    """Numbers of fresh requests, (number, status, answer) of repeats, None for reused keys."""
    return [
        None
        if isinstance(one, KeyReusedError)
        else (one.seq, one.status, one.answer)
        if isinstance(one, Repeated)
        else one.seq
        for one in outcomes
    ]


def test_fresh_repeated_and_reused_in_one_flush_and_over_two(database: Database) -> None:
    one, two = workspace(database, "one"), workspace(database, "two")
    first = [entry(b"a"), entry(b"b", b"k"), entry(b"c", b"k"), entry(b"d", b"k", b"other"), entry(b"e", b"l")]
    found = append(database, one, first)
    assert described(found) == [1, 2, (2, 201, b"answer to b"), None, 3]
    assert found[0] == Appended(1, NOW_US)
    assert described(append(database, one, [entry(b"f", b"l"), entry(b"g"), entry(b"h", b"l", b"other")])) == [
        (3, 201, b"answer to e"),
        4,
        None,
    ]
    assert described(append(database, one, [entry(b"i", b"k")])) == [(2, 201, b"answer to b")]
    assert described(append(database, two, [entry(b"j", b"k", b"other")])) == [1]
    assert bodies(database, one) == [b"a", b"b", b"e", b"g"]
    with database.read(database.inbox) as connection:
        keys = [IdempotencyKey(b"k", b"f"), IdempotencyKey(b"k", b"other"), IdempotencyKey(b"m", b"f")]
        kept = [idempotency.find(connection, one, key) for key in keys]
    assert kept == [Repeated(0, 2, 201, b"answer to b"), None, None]


def test_key_and_request_are_one_commit(database: Database) -> None:
    one = workspace(database)

    def fail() -> None:
        with database.write(database.inbox) as connection:
            idempotency.append(connection, one, 0, [entry(b"lost", b"k")], NOW_US)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert described(append(database, one, [entry(b"a", b"k")])) == [1]
    assert bodies(database, one) == [b"a"]
    with pytest.raises(UnknownWorkspaceError):
        append(database, 4711, [entry(b"x", b"k")])


def test_a_key_that_another_flush_has_not_committed_yet(database: Database) -> None:
    """The second flush waits for the first, and then sees its key, although it began before that was there."""
    one, found = workspace(database), list[Outcome]()

    def second() -> None:
        found.extend(append(database, one, [entry(b"b"), entry(b"c", b"k"), entry(b"d")]))

    thread = threading.Thread(target=second)
    with database.write(database.inbox) as connection:
        idempotency.append(connection, one, 0, [entry(b"a", b"k")], NOW_US)
        thread.start()
        if database.is_postgresql:  # on SQLite it cannot even begin
            until(lambda: _waiting(database), message="the second flush does not wait")
    thread.join()
    assert described(found) == [2, (1, 201, b"answer to a"), 3]
    assert bodies(database, one) == [b"a", b"b", b"d"]


def _waiting(database: Database) -> bool:
    with database.read() as connection:
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        return bool(connection.execute(text(waiting)).scalar())
