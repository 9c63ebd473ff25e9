"""Calls of the store: shared out between workspaces, and ended where nobody waits for them any longer."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest
from sqlalchemy import text

from app.services import budget
from app.services.calls import StoreCalls, Threads
from app.services.refusals import UnavailableError
from app.store.engine import Database
from app.store.interruption import AbandonedError, check
from tests.polling import until
from tests.servers import PostgresServer, postgres

LONG: Final = 30.0
#: Would go on for minutes.
ENDLESS: Final = {
    True: "select pg_sleep(600)",
    False: "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n",
}


def spent_for(workspace_id: int, action: Callable[[], Coroutine[Any, Any, Any]]) -> "asyncio.Task[Any]":
    """A request of the workspace that does this."""

    async def request() -> Any:
        with budget.answering(LONG):
            budget.charge(workspace_id)
            return await action()

    return asyncio.create_task(request())


def test_a_workspace_leaves_threads_to_others() -> None:
    release, running = threading.Event(), threading.Semaphore(0)

    def stuck() -> None:
        running.release()
        release.wait(LONG)

    async def scenario() -> list[int]:
        threads = Threads("t", 4)
        greedy = [spent_for(1, lambda: threads.run(stuck, LONG)) for _ in range(20)]
        other = [spent_for(2, lambda: threads.run(stuck, LONG)) for _ in range(20)]
        # Two threads and one are taken, the last one is for whoever else comes.
        found = [await spent_for(n, lambda n=n: threads.run(lambda: n, LONG)) for n in range(3, 30)]  # type: ignore[misc]
        assert sum(running.acquire(timeout=LONG) for _ in range(3)) == 3
        assert not running.acquire(blocking=False)
        release.set()
        await asyncio.gather(*greedy, *other)
        assert threads._shares.taken == 0
        assert not threads._waiting
        await threads.aclose()
        return found

    assert asyncio.run(scenario()) == list(range(3, 30))


def test_whoever_waits_gets_a_turn_in_rotation() -> None:
    order: list[int] = []

    async def scenario() -> None:
        threads = Threads("t", 1)
        gate = threading.Event()
        first = spent_for(0, lambda: threads.run(lambda: gate.wait(LONG), LONG))
        await asyncio.sleep(0)
        tasks = [
            spent_for(n, lambda n=n: threads.run(lambda: order.append(n), LONG))  # type: ignore[misc]
            for n in (1, 1, 1, 2, 2, 3)
        ]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *tasks)
        await threads.aclose()

    asyncio.run(scenario())
    assert order == [1, 2, 3, 1, 2, 1]


@pytest.mark.parametrize("how", ["late", "gone"])
def test_a_statement_that_nobody_waits_for_is_ended(database: Database, how: str) -> None:
    """Its thread and its connection are free at once, not when the database's own timeout is over."""
    began = threading.Event()

    def read() -> None:
        with database.read() as connection:
            connection.execute(text("select 1"))
            began.set()
            connection.execute(text(ENDLESS[database.is_postgresql]))

    async def scenario() -> None:
        threads = Threads("t", 2)
        calls = StoreCalls(threads, 0.2 if how == "late" else LONG)
        request = spent_for(1, lambda: calls.run(read))
        if how == "gone":
            assert await asyncio.to_thread(began.wait, LONG)
            request.cancel()
        with pytest.raises(UnavailableError if how == "late" else asyncio.CancelledError):
            await request
        # Closing waits for the threads, so it would take as long as the statement does.
        async with asyncio.timeout(5):
            await threads.aclose()
        threads = Threads("t", 2)
        calls = StoreCalls(threads, LONG)
        # The next one gets a connection that works.
        assert await spent_for(1, lambda: calls.run(lambda: one(database))) == 1
        await threads.aclose()

    asyncio.run(scenario())
    if database.is_postgresql:
        until(lambda: not sleeping(database))


def test_a_server_that_hangs_keeps_no_thread_where_there_are_nodes() -> None:
    """The coordinator hands the cancellation on to the node, and waits with it. Here the server itself hangs, and the
    connection is taken for one to several nodes."""

    async def scenario(server: PostgresServer, database: Database) -> None:
        threads = Threads("t", 2)
        began = threading.Event()

        def read() -> None:
            with database.read() as connection:
                began.set()
                connection.execute(text(ENDLESS[True]))

        with database.main.connect() as connection:
            connection.info["distributed"] = True
        request = spent_for(1, lambda: StoreCalls(threads, 1.0).run(read))
        assert await asyncio.to_thread(began.wait, LONG)
        server.hang()
        try:
            with pytest.raises(UnavailableError):
                await request
            async with asyncio.timeout(10):
                await threads.aclose()
        finally:
            server.go_on()

    with postgres(private=True) as server:
        database = Database(server.url)
        asyncio.run(scenario(server, database))
        assert one(database) == 1
        database.dispose()


def test_nobody_waits_for_a_workspace_that_is_away() -> None:
    async def scenario() -> tuple[int, int]:
        threads = Threads("t", 1)
        calls = StoreCalls(threads, LONG, is_away=lambda workspace_id: workspace_id == 7)
        with pytest.raises(UnavailableError):
            await spent_for(7, lambda: calls.run(lambda: 7))
        found = await spent_for(8, lambda: calls.run(lambda: 8)), await calls.run(lambda: 0)
        await threads.aclose()
        return found

    assert asyncio.run(scenario()) == (8, 0)


def one(database: Database) -> int:
    with database.read() as connection:
        return int(connection.execute(text("select 1")).scalar_one())


def sleeping(database: Database) -> int:
    with database.read() as connection:
        statement = "select count(*) from pg_stat_activity where datname = current_database() and query like '%600)'"
        return int(connection.exec_driver_sql(statement.replace("%", "%%")).scalar_one())


def test_a_call_that_is_between_two_statements() -> None:
    began, ended = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        try:
            while True:
                check()
        except AbandonedError:
            ended.set()
            raise

    async def scenario() -> None:
        threads = Threads("t", 2)
        task = spent_for(1, lambda: threads.run(work, LONG))
        assert await asyncio.to_thread(began.wait, LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended.wait, LONG)
        await threads.aclose()

    asyncio.run(scenario())


def test_a_queued_call_that_nobody_waits_for_never_begins() -> None:
    ran: list[int] = []

    async def scenario() -> None:
        threads = Threads("t", 1)
        gate = threading.Event()
        first = spent_for(1, lambda: threads.run(lambda: gate.wait(LONG), LONG))
        await asyncio.sleep(0)
        second = spent_for(2, lambda: threads.run(lambda: ran.append(2), LONG))
        await asyncio.sleep(0)
        second.cancel()
        gate.set()
        await asyncio.gather(first, second, return_exceptions=True)
        await spent_for(3, lambda: threads.run(lambda: ran.append(3), LONG))
        await threads.aclose()

    asyncio.run(scenario())
    assert ran == [3]
