"""Many who wait for a workspace are one look, and many probes are one question."""

import asyncio

from app.domain.commands import STREAM_NORMAL
from app.services.calls import StoreCalls, Threads
from app.services.readiness import KEEP_SECONDS, Readiness
from app.services.waiting import Progress, Waiting
from app.store.engine import Database
from app.store.inbox import log
from app.store.inbox.log import Entry
from tests.stores import NOW_US, workspace


def test_a_hundred_who_wait_are_one_look_at_a_time(database: Database) -> None:
    number = workspace(database)

    async def scenario() -> tuple[list[Progress], int]:
        threads = Threads("t", 4)
        waiting = Waiting(database, StoreCalls(threads, 30.0), lambda _workspace: None)
        found = await asyncio.gather(*(waiting.progress(number) for _ in range(100)))
        looks = waiting.looks
        await asyncio.gather(*waiting._looking.values())
        # A look that began before is not good enough for whoever comes now.
        first = asyncio.create_task(waiting.progress(number))
        await asyncio.sleep(0)
        with database.write(database.inbox) as connection:
            log.append(connection, number, STREAM_NORMAL, [Entry(1, 0, b"{}")], NOW_US)
        assert (await waiting.progress(number)).heads[STREAM_NORMAL] == 1
        await first
        assert waiting.looks <= looks + 2
        await asyncio.gather(*waiting._looking.values())
        assert not waiting._next
        assert not waiting._looking
        await threads.aclose()
        return found, looks

    found, looks = asyncio.run(scenario())
    assert (found, looks) == ([Progress((0, 0), (0, 0))] * 100, 1)


def test_waiters_get_what_they_wait_for_or_the_last_look(database: Database) -> None:
    number = workspace(database)
    rung: list[int] = []

    async def scenario() -> tuple[list[Progress], int]:
        threads = Threads("t", 4)
        waiting = Waiting(database, StoreCalls(threads, 30.0), rung.append)
        found = await asyncio.gather(*(waiting.until(number, {STREAM_NORMAL: 1}, 0.5) for _ in range(100)))
        looks = waiting.looks
        await asyncio.gather(*waiting._looking.values())
        await threads.aclose()
        return found, looks

    found, looks = asyncio.run(scenario())
    assert found == [Progress((0, 0), (0, 0))] * 100
    assert looks < 100  # each for itself they would be more than a thousand
    assert set(rung) == {number}


def test_a_failure_is_everybodys(database: Database) -> None:
    async def scenario() -> list[object]:
        threads = Threads("t", 4)
        waiting = Waiting(database, StoreCalls(threads, 30.0), lambda _workspace: None)
        database.dispose()
        waiting._database = Database("sqlite:////nowhere/at/all.db")
        found = await asyncio.gather(*(waiting.progress(1) for _ in range(3)), return_exceptions=True)
        await threads.aclose()
        return [type(error).__name__ for error in found]

    assert asyncio.run(scenario()) == ["UnavailableError"] * 3


def test_probes_share_a_look_for_a_second() -> None:
    now, asked = [0.0], [0]

    async def look() -> str | None:
        asked[0] += 1
        await asyncio.sleep(0)
        return None if asked[0] == 1 else "away"

    async def scenario() -> None:
        readiness = Readiness(look, lambda: now[0])
        assert await asyncio.gather(*(readiness.problem() for _ in range(50))) == [None] * 50
        now[0] += KEEP_SECONDS - 0.01
        assert (await readiness.problem(), asked[0]) == (None, 1)
        now[0] += 0.02
        assert await asyncio.gather(*(readiness.problem() for _ in range(50))) == ["away"] * 50
        assert asked[0] == 2

    asyncio.run(scenario())
