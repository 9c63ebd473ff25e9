"""PostgreSQL behind a pooler in transaction mode: settings hold in each transaction, and nothing stays in a session."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from app.store import lane, migrate, partitions
from app.store.bulk import pipelined
from app.store.engine import DATABASE_ERRORS, Database, since
from app.store.inbox import log as inbox
from app.store.inbox import size
from app.store.inbox.log import Appended, Entry
from app.store.interruption import Interruption
from tests.missing import needed
from tests.polling import until
from tests.poolers import Pooler, pgbouncer
from tests.servers import PostgresServer, postgres
from tests.stores import NOW_US, workspace

SETTINGS = (
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "lock_timeout",
    "timezone",
    "work_mem",
    "enable_seqscan",
    "enable_bitmapscan",
    "jit",
    "max_parallel_workers_per_gather",
    "transaction_isolation",
    "transaction_read_only",
)
SHOWN = text("select " + ", ".join(f"current_setting('{name}')" for name in SETTINGS))


@pytest.fixture(params=["", "options", "options,extra_float_digits"], ids=["refused", "dropped", "more"])
def pooler(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[Pooler]:
    """All clients share one session of the server, so each meets what the one before has left."""
    with needed(pgbouncer(postgres_server, sessions=1, ignored=request.param), "pgbouncer") as found:
        yield found


@pytest.fixture
def direct(postgres_server: PostgresServer, postgres_template: str) -> Iterator[Database]:
    database = Database(postgres_server.create_database("behind", postgres_template))
    yield database
    database.dispose()


def shown(database: Database) -> list[tuple[str, ...]]:
    """The settings in a write, in a read, and in a snapshot."""
    found = []
    for transaction in (database.write, database.read, database.snapshot):
        with transaction() as connection:
            found.append(tuple(connection.execute(SHOWN).one()))
    return found


def test_a_transaction_has_the_same_settings_as_without_a_pooler(pooler: Pooler, direct: Database) -> None:
    assert direct.keeps_sessions
    for named in ({}, {"apply": True}, {"lock_seconds": 0.5, "timeout_seconds": 3.0}):
        one, other = (Database(url, **named) for url in (direct.url, pooler.url(direct.url)))
        assert shown(other) == shown(one)
        assert (one.keeps_sessions, other.keeps_sessions) == (True, False)
        one.dispose()
        other.dispose()


def test_nothing_stays_in_a_session(pooler: Pooler, direct: Database) -> None:
    url = pooler.url(direct.url)
    plain = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
    question = "select " + ", ".join(f"current_setting('{name}')" for name in SETTINGS)
    before = plain.execute(question).fetchone()
    database = Database(url, lock_seconds=0.2, timeout_seconds=7)
    shown(database)
    database.vacuum("inbox_default")
    size.shrink(database, NOW_US, 1)
    with database.statements() as connection:
        connection.exec_driver_sql("select 1")
    prepared = plain.execute("select count(*) from pg_prepared_statements").fetchone()
    locks = plain.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone()
    assert (plain.execute(question).fetchone(), prepared, locks) == (before, (0,), (0,))
    database.dispose()
    plain.close()


def test_many_clients_of_one_session_say_the_same_again_and_again(pooler: Pooler, direct: Database) -> None:
    """A driver prepares a statement that it has sent five times, and another client has that session then."""
    one = workspace(direct)
    databases = [Database(pooler.url(direct.url), pool_size=2, apply=bool(n % 2)) for n in range(4)]

    def store(n: int) -> int:
        with databases[n % 4].write() as connection, pipelined(connection):
            pass
        with databases[n % 4].write() as connection:
            appended = inbox.append(connection, one, 0, [Entry(1, 1, b"x")], NOW_US)
        with databases[(n + 1) % 4].read() as connection:
            assert inbox.head(connection, one, 0) >= appended[0].seq
        return appended[0].seq

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(store, range(80))) == list(range(1, 81))
    for database in databases:
        database.dispose()


def test_locks_and_time_outs_end_with_their_transaction(pooler: Pooler, direct: Database) -> None:
    one = workspace(direct)
    database = Database(pooler.url(direct.url), timeout_seconds=0.3)
    with direct.write() as held:
        assert lane.lock(held, one) is not None
        with database.write() as connection:
            assert lane.lock(connection, one) is None
        with pytest.raises(DATABASE_ERRORS, match="lock timeout"), database.write(lock_ms=30) as connection:
            connection.execute(text("update lane set epoch = epoch where workspace_id = :one"), {"one": one})
    with pytest.raises(DATABASE_ERRORS, match="statement timeout"), database.write() as connection:
        connection.execute(text("select pg_sleep(5)"))
    with database.write() as connection:
        assert lane.lock(connection, one) is not None
        assert inbox.append(connection, one, 0, [Entry(1, 1, b"x")], NOW_US) == [Appended(1, NOW_US)]
    database.dispose()


def test_a_call_that_nobody_waits_for_ends(pooler: Pooler, direct: Database) -> None:
    database = Database(pooler.url(direct.url), timeout_seconds=60)
    call = Interruption()

    def work() -> None:
        with database.read() as connection:
            connection.execute(text("select pg_sleep(3600)"))

    with ThreadPoolExecutor(1) as threads:
        future = threads.submit(call.run, work)
        sleeping = "select count(*) from pg_stat_activity where query = 'select pg_sleep(3600)' and state = 'active'"
        with direct.statements() as connection:
            until(lambda: connection.exec_driver_sql(sleeping).scalar() == 1)
        call.interrupt()
        assert isinstance(future.exception(timeout=30), DATABASE_ERRORS)
    database.dispose()


def test_a_crash_of_the_server_is_noticed_on_a_connection_that_outlives_it() -> None:
    """What a worker remembers is from before the crash, and its connection to the pooler is older than that."""
    with needed(postgres(private=True)) as server, needed(pgbouncer(server), "pgbouncer") as pooler:
        database = Database(pooler.url(server.create_database("crashed")), pool_size=1, apply=True)
        migrate.upgrade(database)
        partitions.prepare(database, NOW_US)
        with database.write() as connection:
            driver = connection.connection.driver_connection
        remembered = time.monotonic()
        with database.write() as connection:
            assert since(connection) < remembered
        server.kill9()
        server.start()
        with database.write() as connection:
            assert connection.connection.driver_connection is driver
            assert since(connection) > remembered
        database.dispose()
