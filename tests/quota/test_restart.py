"""What Redis keeps for us outlives it, set up as `onefold up` sets it up, and outlives us."""

import asyncio
from collections.abc import Callable

import pytest

from app.quota.usage import DAY_MS
from tests.quota.desk import TEN, desk, run
from tests.servers import ValkeyServer, valkey


def _stop(server: ValkeyServer) -> None:
    server.stop()


def _kill(server: ValkeyServer) -> None:
    server.kill9()


@pytest.mark.parametrize("end", [_stop, _kill], ids=["stopped", "killed"])
def test_usage_and_levels_outlive_a_restart(end: Callable[[ValkeyServer], None]) -> None:
    async def counted(server: ValkeyServer, times: int) -> None:
        async with desk(server.url) as d:
            d.now[0] = 10 * DAY_MS
            await asyncio.gather(*(d.limiter.take(1, TEN, None, "key:track") for _ in range(times)))
            assert d.limiter.degraded == 0

    async def found(server: ValkeyServer) -> None:
        async with desk(server.url) as d:  # a process that was just started: nothing is known to it
            d.now[0] = 10 * DAY_MS + 60_000
            assert await d.limiter.usage(1, ("key:track",)) == {"key:track": [(10 * 1440, 10, 2)]}
            assert [grant.remaining for grant in await d.limiter.peek(1, TEN) or ()] == [0]
            assert (await d.limiter.take(1, TEN)).granted == 0

    with valkey() as server:
        run(counted(server, 7))
        run(counted(server, 5))
        run(found(server))
        end(server)
        server.start()
        run(found(server))
