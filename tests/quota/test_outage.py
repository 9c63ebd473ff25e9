"""The limiter and a server that is absent, dies, hangs, fills up, forgets, and returns: no take ever raises."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
import uvloop

from app.quota.bucket import Bucket, Grant
from app.quota.connection import TIMEOUT_S
from app.quota.limiter import PROBE_S
from tests.quota.desk import NOWHERE, TEN, Desk, burst, desk, keep_taking, run, turns_until
from tests.quota.server import Server


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
            await turns_until(lambda: bool(d.limiter._flight) and not d.limiter._pending)
            mortal_valkey.kill()
            assert [grant.granted for grant in await waiting] == [1] * 5 + [0] * 3
            assert (d.limiter.degraded, d.transitions) == (8, [True])

    run(scenario())


def test_what_cannot_be_sent_is_decided_locally(valkey: Server) -> None:
    """A mistake of ours, say: those in the flight, and those behind it, are answered all the same."""

    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            told = list[str]()
            asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(str(context)))
            name = (Bucket("\ud800", 10, 1_000),)  # no text that could be sent
            grants = await asyncio.gather(d.limiter.take(1, name), d.limiter.take(1, TEN))
            assert [grant.granted for grant in grants] == [1, 1]
            assert (d.limiter.degraded, d.transitions, len(told)) == (2, [True], 1)
            await keep_taking(d.limiter, lambda: len(d.transitions) == 2)
            assert (await d.limiter.take(2, TEN)).remaining == 9

    run(scenario())


def test_a_flight_that_is_lost_takes_those_behind_it_along(mortal_valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(mortal_valkey.url, timeout_s=10 * TIMEOUT_S) as d:
            await d.limiter.take(9, TEN)
            mortal_valkey.pause()
            first = asyncio.create_task(burst(d.limiter, 2))
            await turns_until(lambda: bool(d.limiter._flight))
            behind = asyncio.create_task(burst(d.limiter, 2, TEN, 2))
            await turns_until(lambda: bool(d.limiter._pending))
            began = time.perf_counter()
            assert [grant.granted for grant in await first + await behind] == [1] * 4
            assert time.perf_counter() - began > 5 * TIMEOUT_S
            assert (d.limiter.degraded, d.transitions) == (4, [True])
            mortal_valkey.resume()

    run(scenario())


def test_stopped_and_continued_under_load(mortal_valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(mortal_valkey.url, timeout_s=TIMEOUT_S) as d:
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


def test_how_long_it_waits_can_be_said(mortal_valkey: Server) -> None:
    """Three times the default: a take that Redis answers late is decided locally only behind it, and so are looks."""

    async def scenario() -> None:
        async with desk(mortal_valkey.url, timeout_s=3 * TIMEOUT_S) as d:
            await d.limiter.take(9, TEN)
            mortal_valkey.pause()
            for wait in (d.limiter.peek(9, TEN), d.limiter.take(9, TEN)):
                began = time.perf_counter()
                await wait
                assert time.perf_counter() - began > 3 * TIMEOUT_S * 0.9
            assert (d.limiter.degraded, d.transitions) == (1, [True])
            mortal_valkey.resume()

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
            async with desk(f"redis://127.0.0.1:{port}/0", timeout_s=TIMEOUT_S) as d:
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


def test_server_that_is_slow_to_connect_to_and_quick_then(tcp_valkey: Server) -> None:
    """As over TLS to another place: the greeting alone takes longer than a take may. Takes do not wait for it."""

    async def scenario() -> None:
        tasks = set[asyncio.Task[None]]()

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first_s: float) -> None:
            with suppress(OSError):
                while data := await reader.read(65_536):
                    await asyncio.sleep(first_s)
                    first_s = 0
                    writer.write(data)
            writer.close()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", tcp_valkey.port)
            tasks.add(asyncio.create_task(forward(reader, back, 3 * TIMEOUT_S)))
            tasks.add(asyncio.create_task(forward(there, writer, 0)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            async with desk(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout_s=TIMEOUT_S) as d:
                longest = await keep_taking(d.limiter, lambda: len(d.transitions) == 2)
                assert d.transitions == [True, False]
                assert longest < 2 * TIMEOUT_S
                counted = d.limiter.degraded
                assert [grant.remaining for grant in await burst(d.limiter, 3)] == [9, 8, 7]
                left = await d.limiter.standing(1, TEN)
                assert left is not None
                assert left.remaining == 7
                assert (d.limiter.degraded, d.limiter.down) == (counted, False)
        finally:
            server.close()
            await asyncio.wait(tasks, timeout=1)
            await server.wait_closed()

    run(scenario())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_busy_process_does_not_take_the_server_for_slow(
    mortal_valkey: Server, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """The loop stands still for twice the timeout, in which the reply arrives. uvloop looks at timers first."""

    async def scenario() -> None:
        async with desk(mortal_valkey.url, timeout_s=TIMEOUT_S) as d:
            await d.limiter.take(9, TEN)
            mortal_valkey.pause()  # so that the limiter waits for the reply before the stall begins
            caller = asyncio.create_task(d.limiter.take(1, TEN))
            for _ in range(20):
                await asyncio.sleep(0)
            mortal_valkey.resume()
            stalled = time.perf_counter() + 2 * TIMEOUT_S
            while time.perf_counter() < stalled:
                pass
            assert (await caller).remaining == 9
            assert (d.limiter.degraded, d.transitions) == (0, [])

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())
