"""A standby that commits wait for: what is answered is on both servers, and one that is away is no reason to lie."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import psycopg
import pytest
from sqlalchemy import text

from app.services.accepting.writer import InboxWriter
from app.services.refusals import UnavailableError
from app.store import migrate, partitions
from app.store.engine import Database, is_transient, normalise_url
from app.store.inbox import log as inbox
from app.store.inbox.alone import LoneAppend
from app.store.inbox.log import Entry
from app.store.pooler import UnreplicatedError
from tests.missing import needed
from tests.polling import until
from tests.servers import PostgresServer
from tests.standbys import Pair, pair
from tests.stores import NOW_US, workspace

ENTRY = Entry(1, 1, b"x")


@pytest.fixture(scope="module")
def servers() -> Iterator[Pair]:
    with needed(pair()) as found:
        yield found


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    main = psutil.Process(server.pid)
    family = [main, *main.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            process.resume()


def test_a_commit_that_no_standby_has_is_no_success(servers: Pair) -> None:
    """PostgreSQL answers a commit whose wait is cut short as if it were done, with a warning."""
    url = servers.primary.create_database("waits")
    database = Database(url)
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    one = workspace(database)

    def store() -> None:
        with database.write() as connection:
            inbox.append(connection, one, 0, [ENTRY], NOW_US)

    async def accept() -> None:
        writer = InboxWriter(database, lambda: NOW_US, 20.0, lambda _key: None, 10)
        try:
            await writer.append(one, 0, ENTRY)
        finally:
            await writer.aclose()

    async def append_alone() -> None:
        lone = LoneAppend(database, 20_000)
        lone.open()
        try:
            await lone.append(one, 0, [ENTRY], NOW_US)
        finally:
            lone.close()

    ways: list[tuple[Callable[[], None], type[Exception]]] = [
        (store, UnreplicatedError),
        (lambda: asyncio.run(append_alone()), UnreplicatedError),
        (lambda: asyncio.run(accept()), UnavailableError),
    ]
    for write, refusal in ways:
        write()
        with stopped(servers.standby), ThreadPoolExecutor(1) as threads:
            future = threads.submit(write)
            until(lambda: end_waits(servers.primary) == 1, message="no commit waits")
            assert isinstance(future.exception(), refusal)
        assert is_transient(UnreplicatedError())
        write()
    database.dispose()


def end_waits(server: PostgresServer) -> int:
    """What a person, or a request that is not waited for any longer, does to commits that wait; how many did."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        question = "select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'"
        row = connection.execute(question).fetchone()
        return 0 if row is None else int(row[0])


def test_clients_that_know_both_follow_to_the_one_that_takes_writes(servers: Pair) -> None:
    made = servers.primary.create_database("follows")
    hosts = ",".join(str(path.parent) for path in servers.sockets)
    query = f"host={hosts.replace(',', ':5432&host=')}:5432&target_session_attrs=read-write"
    direct = Database(made)
    migrate.upgrade(direct)
    direct.dispose()
    database = Database(f"postgresql://postgres@/follows?{query}")
    one = workspace(database)
    servers.primary.kill9()
    with pytest.raises(Exception) as raised, database.write() as connection:  # noqa: PT011 - whatever the driver says
        connection.execute(text("select 1"))
    assert is_transient(raised.value)
    servers.promote()
    partitions.prepare(database, NOW_US)
    with database.write() as connection:
        assert inbox.append(connection, one, 0, [ENTRY], NOW_US)[0].seq == 1
    servers.copy()
    with psycopg.connect(servers.standby.dsn.replace("/postgres?", "/follows?")) as connection:
        assert connection.execute("select workspace_id, stream, seq, body from inbox").fetchall() == [(one, 0, 1, b"x")]
    database.dispose()


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("postgres://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://h1,h2:6000/db", "postgresql+psycopg:///db?host=h1:5432&host=h2:6000"),
        (
            "postgresql://u:p@h1:1,h2:2/db?target_session_attrs=read-write",
            "postgresql+psycopg://u:p@/db?host=h1:1&host=h2:2&target_session_attrs=read-write",
        ),
        ("sqlite:////a,b/c.db", "sqlite:////a,b/c.db"),
        ("postgresql+psycopg://u@/db?host=/a,b", "postgresql+psycopg://u@/db?host=/a,b"),
    ],
)
def test_urls(url: str, normal: str) -> None:
    assert normalise_url(url) == normal
