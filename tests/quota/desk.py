"""What the limiter tests share: a limiter with a clock and a record of its transitions, and crowds of callers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from app.quota.bucket import Bucket, Grant
from app.quota.limiter import Limiter
from tests.quota.server import DEADLINE_S

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


#: Of tests about what a Redis decides that is there: on a busy machine a reply may take longer than a client waits.
UNHURRIED_S: Final = 10.0


@asynccontextmanager
async def desk(redis: str, *, timeout_s: float = UNHURRIED_S, **options: float) -> AsyncIterator[Desk]:
    """Tests about a Redis that fails or is slow set `timeout_s`, such as to that of the service."""
    now, transitions = [0], list[bool]()
    options["timeout_s"] = timeout_s
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
