"""A statement that the event loop waits for: rows and errors of the right one, whatever its size, and how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.pq import Format

from app.services.accepting.writer import InboxWriter
from app.store.awaited import AwaitedStatement
from app.store.engine import Database
from app.store.inbox.alone import MAX_BYTES, LoneAppend
from app.store.inbox.log import Appended, Entry
from tests.servers import PostgresServer
from tests.stores import NOW_US, prepare, workspace

#: Divides, and gives back what it got.
SQL = "select 100 / cast($1 as int), cast($2 as bytea)"
FORMATS = (Format.TEXT, Format.BINARY)


@asynccontextmanager
async def statement(dsn: str) -> AsyncIterator[AwaitedStatement]:
    with psycopg.connect(dsn, autocommit=True) as driver:
        found = AwaitedStatement(driver, SQL)
        try:
            yield found
        finally:
            found.close()


def end_others(dsn: str) -> None:
    """End every other session of the database."""
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where pid <> pg_backend_pid() and datname = current_database()"
        )


async def closed(is_open: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while is_open():  # noqa: ASYNC110 - what is waited for knows nothing of us
            await asyncio.sleep(0.01)


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from([0, 1, 5_000, 3_000_000])), max_size=6))
def test_each_run_gets_its_own_rows_or_error(postgres_server: PostgresServer, runs: list[tuple[int, int]]) -> None:
    """More than the socket takes at once, too; an error of a statement leaves the connection as it was."""

    async def scenario() -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        async with statement(postgres_server.dsn) as one:
            for divisor, size in runs:
                try:
                    ((number, body),) = await one.run([b"%d" % divisor, bytes(size)], FORMATS)
                except psycopg.errors.DivisionByZero:
                    found.append(None)
                else:
                    found.append((int.from_bytes(number, "big", signed=True), len(body)))
            assert one.is_open
        return found

    expected = [(100 // divisor, size) if divisor else None for divisor, size in runs]
    assert asyncio.run(scenario()) == expected


def test_it_knows_when_its_connection_has_ended(postgres_server: PostgresServer) -> None:
    dsn = Database(postgres_server.create_database("awaited_ended")).url.replace("+psycopg", "")

    async def scenario() -> None:
        async with statement(dsn) as one:
            await one.run([b"1", b""], FORMATS)
            end_others(dsn)
            await closed(lambda: one.is_open)

    asyncio.run(scenario())


def test_a_connection_that_ends_meanwhile_fails_what_waits(postgres_server: PostgresServer) -> None:
    dsn = Database(postgres_server.create_database("awaited_lost")).url.replace("+psycopg", "")

    async def scenario() -> None:
        with psycopg.connect(dsn, autocommit=True) as driver:
            one = AwaitedStatement(driver, "select pg_sleep(60)")
            running = asyncio.create_task(one.run([], []))
            async with asyncio.timeout(10):
                while not running.done():
                    await asyncio.to_thread(end_others, dsn)
                    await asyncio.sleep(0.01)
            assert isinstance(running.exception(), psycopg.OperationalError)
            assert not one.is_open

    asyncio.run(scenario())


@pytest.fixture
def written(postgres_server: PostgresServer) -> Iterator[Database]:
    url = postgres_server.create_database("awaited_writer")
    prepare(url)
    found = Database(url)
    yield found
    found.dispose()


def test_nobody_is_refused_when_the_connection_ended_between_two_requests(written: Database) -> None:
    """A restart of PostgreSQL costs the kept connection; requests that the loop cannot store go to the thread."""
    workspace_id = workspace(written, "w")
    dsn = written.url.replace("+psycopg", "")
    writing = Database(written.url)
    bodies = [b"first", b"second", bytes(MAX_BYTES + 1), b"after"]

    async def scenario() -> list[Appended]:
        writer = InboxWriter(writing, lambda: NOW_US, 10.0, lambda _stream: None)
        found = [await writer.append(workspace_id, 0, Entry(1, 1, body)) for body in bodies]
        assert writer._alone.is_open
        end_others(dsn)
        await closed(lambda: writer._alone.is_open)
        writing.dispose()  # what its pool holds has ended as well
        found.append(await writer.append(workspace_id, 0, Entry(1, 1, b"again")))
        await writer.aclose()
        return [one for one in found if isinstance(one, Appended)]

    assert asyncio.run(scenario()) == [Appended(n, NOW_US + 2 * (n - 1)) for n in range(1, 6)]
    writing.dispose()
    written.dispose()
    with written.read() as connection:
        stored = connection.exec_driver_sql("select body from inbox order by seq").scalars().all()
    assert [bytes(body) for body in stored] == [*bodies, b"again"]


def test_a_lone_append_is_told_what_any_other_would_be(written: Database) -> None:
    """Numbers and times go on from one way to the other; a workspace that is gone spoils nothing."""
    workspace_id = workspace(written, "w")

    async def scenario() -> None:
        one = LoneAppend(written, 50)
        one.open()
        with pytest.raises(LookupError):
            await one.append(workspace_id + 1, 0, [Entry(1, 1, b"x")], NOW_US)
        assert await one.append(workspace_id, 0, [Entry(1, 1, b"x"), Entry(2, 3, b"")], NOW_US) == [
            Appended(1, NOW_US),
            Appended(2, NOW_US + 2),
        ]
        assert await one.append(workspace_id, 1, [Entry(1, 1, b"x")], NOW_US) == [Appended(1, NOW_US | 1)]
        one.close()

    asyncio.run(scenario())
