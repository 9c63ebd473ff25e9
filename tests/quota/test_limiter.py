"""The limiter against a real server: coalescing, scripts lost, and a server that dies, hangs, fills up and returns."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from app.quota.bucket import Bucket, Grant
from app.quota.limiter import PROBE_S, TIMEOUT_S, UNLIMITED, Limiter
from tests.quota.server import DEADLINE_S, Server

HOUR = 3_600_000
BURST, HOURLY = Bucket("burst", 50, HOUR), Bucket("hourly", 1_000, HOUR)
TEN = (Bucket("ten", 10, HOUR),)
NOWHERE = "unix:///nonexistent/quota.sock?db=0"


@dataclass
class Desk:
    """A limiter with what was injected into it: a clock that stands, and a list of transitions."""

    limiter: Limiter
    now: list[int]
    transitions: list[bool] = field(default_factory=list)


@asynccontextmanager
async def desk(redis: str | Callable[[], Redis], **options: float) -> AsyncIterator[Desk]:
    now, transitions = [0], list[bool]()
    limiter = Limiter(redis, "t:", now_ms=lambda: now[0], on_transition=transitions.append, **options)
    try:
        yield Desk(limiter, now, transitions)
    finally:
        await limiter.aclose()


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(test)


async def burst(limiter: Limiter, count: int, buckets: tuple[Bucket, ...] = TEN, workspace_id: int = 1) -> list[Grant]:
    return await asyncio.gather(*(limiter.take(workspace_id, buckets) for _ in range(count)))


async def turns_until(condition: Callable[[], bool]) -> None:
    """Let the others run until it is so; the tests look at it between two turns of the loop."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never was so")


async def keep_taking(limiter: Limiter, until: Callable[[], bool], callers: int = 8) -> float:
    """`callers` take in turns until it is so; the longest any take took, in seconds. Any exception comes out."""
    deadline = time.monotonic() + DEADLINE_S
    longest = 0.0

    async def caller(workspace_id: int) -> None:
        nonlocal longest
        while not until():
            assert time.monotonic() < deadline
            started = time.perf_counter()
            grant = await limiter.take(workspace_id, (BURST, HOURLY))
            longest = max(longest, time.perf_counter() - started)
            assert grant.granted in {0, 1}
            assert 0 <= grant.remaining <= grant.limit
            await asyncio.sleep(0)  # a local answer does not give way to the others by itself

    await asyncio.gather(*(caller(workspace_id) for workspace_id in range(callers)))
    return longest


def test_simultaneous_takes_are_one_call(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(2, TEN)  # connects and loads the script
            valkey.client.config_resetstat()
            grants = await burst(d.limiter, 64, (BURST, HOURLY))
            assert [grant.granted for grant in grants] == [1] * 50 + [0] * 14
            assert [grant.remaining for grant in grants] == [*range(49, -1, -1), *[0] * 14]
            assert {grant.name for grant in grants} == {"burst"}
            assert {grant.retry_after_ms for grant in grants[:50]} == {0}
            assert {grant.retry_after_ms for grant in grants[50:]} == {HOUR // 50}
            assert valkey.calls("evalsha") == 1
            # the refused took nothing from the other bucket either
            assert (await d.limiter.take(1, (HOURLY,))).remaining == 949
            assert d.limiter.degraded == 0

    run(scenario())


def test_one_call_for_each_workspace_and_set(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            valkey.client.config_resetstat()
            groups = await asyncio.gather(
                burst(d.limiter, 3, TEN, 1), burst(d.limiter, 4, TEN, 2), burst(d.limiter, 2, (HOURLY,), 1)
            )
            assert [[grant.remaining for grant in grants] for grants in groups] == [[9, 8, 7], [9, 8, 7, 6], [999, 998]]
            assert valkey.calls("evalsha") == 3

    run(scenario())


def test_arrivals_during_a_flight_share_the_next(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            valkey.client.config_resetstat()
            first = asyncio.create_task(d.limiter.take(1, TEN))
            await turns_until(lambda: d.limiter._runner is not None and not d.limiter._pending)
            assert not first.done()
            later = await burst(d.limiter, 5)
            assert [(await first).remaining, *(grant.remaining for grant in later)] == [9, 8, 7, 6, 5, 4]
            assert valkey.calls("evalsha") == 2

    run(scenario())


def test_time_is_the_servers(valkey: Server) -> None:
    """An application clock, here standing at 0, plays no part."""

    async def scenario() -> None:
        async with desk(valkey.url) as d:
            seconds = int(valkey.client.time()[0])
            grant = await d.limiter.take(1, TEN)
            assert seconds * 1000 + HOUR // 10 <= grant.reset_ms < (seconds + 10) * 1000 + HOUR // 10

    run(scenario())


def test_scripts_flushed(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            assert [grant.remaining for grant in await burst(d.limiter, 2)] == [9, 8]
            for expected in ([7, 6], [5, 4]):
                valkey.client.script_flush()
                assert [grant.remaining for grant in await burst(d.limiter, 2)] == expected
            assert (d.limiter.degraded, d.transitions) == (0, [])

    run(scenario())


def test_a_cancelled_caller_spends_its_token_and_harms_nobody(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            callers = [asyncio.create_task(d.limiter.take(1, TEN)) for _ in range(3)]
            await turns_until(lambda: bool(d.limiter._pending))
            callers[1].cancel()
            results = await asyncio.gather(*callers, return_exceptions=True)
            assert [getattr(result, "remaining", None) for result in results] == [9, None, 7]
            alone = asyncio.create_task(d.limiter.take(1, TEN))
            await turns_until(lambda: bool(d.limiter._pending))
            alone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await alone
            assert (await d.limiter.take(1, TEN)).remaining == 5
            assert d.limiter.degraded == 0

    run(scenario())


def test_no_bucket_is_no_limit_and_no_call() -> None:
    async def scenario() -> None:
        async with desk(NOWHERE) as d:
            assert await d.limiter.take(1, ()) == UNLIMITED
            assert (UNLIMITED.granted, UNLIMITED.limit) == (1, 0)
            assert (d.limiter.degraded, d.transitions) == (0, [])

    run(scenario())


def test_wrong_use_is_refused() -> None:
    async def scenario() -> None:
        async with desk(NOWHERE) as d:
            with pytest.raises(ValueError, match="twice"):
                await d.limiter.take(1, (BURST, Bucket("burst", 1, 1)))

    run(scenario())
    for prefix, share in (("{t}", 0.5), ("t", 1.5)):
        with pytest.raises(ValueError, match="must"):
            Limiter(NOWHERE, prefix, now_ms=lambda: 0, on_transition=lambda down: None, local_share=share)


def test_nobody_there() -> None:
    """The whole story locally: the share, its refill by the injected clock, the counter, one transition."""

    async def scenario() -> None:
        async with desk(NOWHERE, local_share=0.25) as d:
            limit = (Bucket("burst", 12, 3_000),)
            grants = await burst(d.limiter, 4, limit)
            assert grants == [
                Grant(1, 3, 2, 1_000, 0, "burst"),
                Grant(1, 3, 1, 2_000, 0, "burst"),
                Grant(1, 3, 0, 3_000, 0, "burst"),
                Grant(0, 3, 0, 1_000, 1_000, "burst"),
            ]
            d.now[0] = 1_000
            assert [grant.granted for grant in await burst(d.limiter, 2, limit)] == [1, 0]
            assert (d.limiter.degraded, d.transitions) == (6, [True])

    run(scenario())


def test_killed_and_restarted_under_load(mortal_valkey: Server) -> None:
    async def one_outage(d: Desk) -> None:
        d.transitions.clear()
        enough = d.limiter.degraded + 100
        mortal_valkey.kill()
        await keep_taking(d.limiter, lambda: d.limiter.degraded >= enough)
        assert d.transitions == [True]
        mortal_valkey.start()
        await keep_taking(d.limiter, lambda: len(d.transitions) == 2)
        assert d.transitions == [True, False]
        counted = d.limiter.degraded
        fresh = await burst(d.limiter, 3, TEN, 77)
        assert [grant.remaining for grant in fresh] == [9, 8, 7]  # of ten, not of the share
        assert d.limiter.degraded == counted

    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await one_outage(d)
            await one_outage(d)

    run(scenario())


def test_killed_in_mid_flight(mortal_valkey: Server) -> None:
    """Callers wait on a server that hangs, and then dies: each is answered, by the local share."""

    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await d.limiter.take(9, TEN)
            mortal_valkey.pause()
            waiting = asyncio.create_task(burst(d.limiter, 8))
            await turns_until(lambda: d.limiter._runner is not None and not d.limiter._pending)
            mortal_valkey.kill()
            assert [grant.granted for grant in await waiting] == [1] * 5 + [0] * 3
            assert (d.limiter.degraded, d.transitions) == (8, [True])

    run(scenario())


def test_stopped_and_continued_under_load(mortal_valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await keep_taking(d.limiter, lambda: mortal_valkey.calls("evalsha") > 3)
            mortal_valkey.pause()
            stopped = time.monotonic()
            # long enough for several probes, each of which hangs until its timeout
            longest = await keep_taking(d.limiter, lambda: time.monotonic() > stopped + 3 * PROBE_S)
            assert TIMEOUT_S * 0.9 < longest < 0.5
            assert d.transitions == [True]
            assert d.limiter.degraded > 100
            mortal_valkey.resume()
            await keep_taking(d.limiter, lambda: len(d.transitions) == 2)
            assert d.transitions == [True, False]

    run(scenario())


def test_full_server_is_a_server_down(mortal_valkey: Server) -> None:
    """It answers PING and refuses to write: no return before it takes a write."""

    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await d.limiter.take(1, TEN)
            mortal_valkey.client.config_set("maxmemory", "1")
            full = time.monotonic()
            await keep_taking(d.limiter, lambda: time.monotonic() > full + 3 * PROBE_S)
            assert d.transitions == [True]
            mortal_valkey.client.config_set("maxmemory", "0")
            await keep_taking(d.limiter, lambda: len(d.transitions) == 2)
            assert (await d.limiter.take(1, TEN)).remaining == 8

    run(scenario())


def test_flushed_under_load_admits_one_more_capacity_each_time(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            for _ in range(3):
                valkey.client.flushall()
                assert sum(grant.granted for grant in await burst(d.limiter, 25)) == 10
            assert d.limiter.degraded == 0

    run(scenario())


def test_silent_server_costs_one_timeout_and_few_probes() -> None:
    """A TCP peer that accepts and never answers."""

    async def scenario() -> None:
        connections = list[asyncio.StreamWriter]()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with desk(f"redis://127.0.0.1:{port}/0") as d:
                started = time.monotonic()
                await keep_taking(d.limiter, lambda: time.monotonic() > started + 4 * PROBE_S, callers=1)
                elapsed = time.monotonic() - started
                assert d.transitions == [True]
                assert 2 <= len(connections) <= 1 + elapsed / PROBE_S
                assert d.limiter.degraded > 1_000
        finally:
            for writer in connections:
                writer.close()
            server.close()
            await server.wait_closed()

    run(scenario())


def test_busy_process_does_not_take_the_server_for_slow(valkey: Server) -> None:
    """The loop stands still for twice the timeout while the reply lies in the socket."""

    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            valkey.client.config_resetstat()
            caller = asyncio.create_task(d.limiter.take(1, TEN))
            while not caller.done():
                await asyncio.sleep(0)
                stalled = time.perf_counter() + 2 * TIMEOUT_S
                while time.perf_counter() < stalled:
                    pass
            assert (await caller).remaining == 9
            assert (d.limiter.degraded, d.transitions) == (0, [])

    run(scenario())


def test_tcp(tcp_valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(tcp_valkey.url) as d:
            assert [grant.remaining for grant in await burst(d.limiter, 3)] == [9, 8, 7]
            assert d.limiter.degraded == 0

    run(scenario())


def test_client_of_the_callers_making(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(lambda: Redis.from_url(valkey.url, decode_responses=True)) as d:
            assert [grant.remaining for grant in await burst(d.limiter, 3)] == [9, 8, 7]
            assert d.limiter.degraded == 0

    run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 3], ids=["before the runner began", "as it began", "in flight"])
def test_close_answers_those_who_wait(mortal_valkey: Server, turns: int) -> None:
    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await d.limiter.take(9, TEN)
            mortal_valkey.pause()
            waiting = asyncio.gather(*(d.limiter.take(1, TEN) for _ in range(6)))
            await turns_until(lambda: bool(d.limiter._pending))
            for _ in range(turns):
                await asyncio.sleep(0)
            await d.limiter.aclose()
            assert [grant.granted for grant in await waiting] == [1] * 5 + [0]
            assert [grant.granted for grant in await burst(d.limiter, 1)] == [0]
            assert (d.limiter.degraded, d.transitions) == (7, [])

    run(scenario())


def test_limits_that_change_all_the_time_do_not_pile_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(f"unix://{tmp_path}/none") as d:
            for capacity in range(1, 2_500):
                await d.limiter.take(1, (Bucket("b", capacity, 1_000),))
            assert len(d.limiter._shapes) <= 1_000

    run(scenario())
