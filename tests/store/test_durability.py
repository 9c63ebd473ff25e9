"""A server that does not wait for its disk: what Onefold answers for survives the server's death all the same."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from app.store import durability, keys, migrate, workspaces
from app.store.durability import Durability
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.missing import needed
from tests.servers import PostgresServer, postgres
from tests.stores import NOW_US, workspace

#: The WAL writer sleeps through the whole test: nothing but a commit that waits writes the log.
LAZY = {"synchronous_commit": "off", "wal_writer_delay": "10s"}


@pytest.fixture
def lazy_server() -> Iterator[PostgresServer]:
    with needed(postgres(LAZY)) as server:
        yield server


def test_what_is_answered_for_survives_a_server_that_does_not_wait_for_its_disk(lazy_server: PostgresServer) -> None:
    """Each kind of write that somebody gets an answer to is the last one before a `kill -9`."""
    database = Database(lazy_server.create_database("lazy"), pool_size=1)
    migrate.upgrade(database)
    one, other = workspace(database, "one"), workspace(database, "other")
    entry = Entry(1, 0, b"{}")

    def alone() -> None:  # as InboxWriter stores the requests of one stream
        with database.statements() as connection:
            inbox.append(connection, one, STREAM_NORMAL, [entry], NOW_US)

    def together() -> None:  # as it stores those of several
        with database.write(database.inbox) as connection:
            for number in (one, other):
                inbox.append(connection, number, STREAM_BULK, [entry], NOW_US)

    def key() -> None:
        keys.create(database, one, "k", ["users.track"], NOW_US)

    def limits() -> None:
        workspaces.change_limits(database, other, {"hourly_limit": 7}, {})

    found = []
    for write in (alone, together, key, limits):
        write()
        lazy_server.kill9()
        database.dispose()
        lazy_server.start()
        with database.read() as connection:
            heads = {(place.workspace_id, place.stream): head for place, head in inbox.heads(connection).items()}
            rows = connection.execute(text("select count(*) from inbox")).scalar_one()
        named = [each.name for each in keys.listed(database, one)]
        found.append((heads, rows, named, workspaces.get(database, "other").hourly_limit))
    database.dispose()

    first = {(one, STREAM_NORMAL): 1}
    both = {**first, (one, STREAM_BULK): 1, (other, STREAM_BULK): 1}
    assert found == [(first, 1, [], None), (both, 3, [], None), (both, 3, ["k"], None), (both, 3, ["k"], 7)]


@pytest.mark.parametrize(
    ("server", "writes"),
    [("off", "on"), ("local", "on"), ("on", "on"), ("remote_write", "remote_write"), ("remote_apply", "remote_apply")],
)
def test_a_stronger_setting_of_the_server_is_left(postgres_server: PostgresServer, server: str, writes: str) -> None:
    url = postgres_server.create_database(f"commit_{server}")
    maker = Database(url, pool_size=1)
    with maker.write() as connection:
        connection.exec_driver_sql(f"alter database commit_{server} set synchronous_commit = {server}")
    maker.dispose()
    database, worker = Database(url, pool_size=1), Database(url, pool_size=1, apply=True)
    show = text("show synchronous_commit")
    with database.write() as connection:
        assert connection.execute(show).scalar_one() == writes
    with database.read() as connection:  # behind the transaction everything is as before
        assert connection.execute(show).scalar_one() == server
    with worker.write() as connection:  # what it loses it applies again
        assert connection.execute(show).scalar_one() == server
    assert durability.read(database) == Durability(synchronous_commit=server)
    assert durability.read(database).raised is (writes != server)
    database.dispose()
    worker.dispose()


def test_settings_that_lose_or_break_what_was_accepted_are_named() -> None:
    assert Durability().unsafe == ()
    assert Durability(fsync="off", full_page_writes="off").unsafe == ("fsync", "full_page_writes")


def test_sqlite_waits_for_its_disk(database: Database) -> None:
    assert durability.read(database).unsafe == ()
