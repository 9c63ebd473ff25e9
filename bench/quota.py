"""Quota decisions: ours beside two libraries doing the same two limits on the same server; and losing that server.

All are called in the same way, from coroutines of one process under uvloop, as the API runs. `limits` makes two round
trips, one for each limit, and takes from the first also when the second refuses; pyrate-limiter makes one, with one
sorted set for both, and lets one caller in at a time.
"""

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import redis
import uvloop
from limits import RateLimitItemPerHour, RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from pyrate_limiter import Duration, Rate, RedisBucket
from pyrate_limiter import Limiter as PyrateLimiter
from redis.asyncio import Redis

from app.adapters.clock import now_ms
from app.quota.bucket import Bucket
from app.quota.limiter import Limiter
from bench import data
from bench.load import Run
from bench.options import Options
from bench.stack import BURST, HOURLY, Stack
from bench.table import BenchError, Row, say

CALLERS = (1, 64)
WARM_SECONDS = 0.3
#: Each is measured so often, in turns, and the median counts.
ROUNDS = 3
#: Decisions after which the memory of one workspace is looked at.
DECISIONS = (1_000, 10_000, 50_000)
QUICK_DECISIONS = (200, 1_000)
#: The numbers in a bucket have more digits when more is left, and a string of the server has a size by steps.
DIGITS_BYTES = 32
PAUSED_SECONDS = 1.0

Take = Callable[[str], Awaitable[bool]]
"""One request of a workspace: whether it is admitted."""


@dataclass(frozen=True, slots=True)
class Rival:
    name: str
    make: Callable[[str], Awaitable[tuple[Take, Callable[[], Awaitable[object]]]]]


def _ours(counter: str = "") -> Callable[[str], Awaitable[tuple[Take, Callable[[], Awaitable[object]]]]]:
    async def make(url: str) -> tuple[Take, Callable[[], Awaitable[object]]]:
        limiter = Limiter(url, f"bench:{counter}:", now_ms=now_ms, on_transition=_degraded)
        buckets = (Bucket("burst", BURST, 1_000), Bucket("hourly", HOURLY, 3_600_000))

        async def take(workspace: str) -> bool:
            return bool((await limiter.take(int(workspace), buckets, None, counter)).granted)

        return take, limiter.aclose

    return make


def _degraded(down: bool) -> None:
    raise BenchError(f"the server did not answer in time: down is {down}")


def _limits(strategy: type[MovingWindowRateLimiter] | type[FixedWindowRateLimiter]) -> Rival:
    async def make(url: str) -> tuple[Take, Callable[[], Awaitable[object]]]:
        storage = RedisStorage(f"async+{_as_limits(url)}", implementation="redispy", key_prefix=strategy.__name__)
        limiter = strategy(storage)
        burst, hourly = RateLimitItemPerSecond(BURST), RateLimitItemPerHour(HOURLY)

        async def take(workspace: str) -> bool:
            return await limiter.hit(burst, workspace) and await limiter.hit(hourly, workspace)

        return take, _nothing

    return Rival(f"limits, {strategy.__name__.removesuffix('RateLimiter')}", make)


def _as_limits(url: str) -> str:
    return url.replace("unix://", "redis+unix://").partition("?")[0] if url.startswith("unix://") else url


async def _pyrate(url: str) -> tuple[Take, Callable[[], Awaitable[object]]]:
    client = Redis.from_url(url)
    rates = [Rate(BURST, Duration.SECOND), Rate(HOURLY, Duration.HOUR)]
    limiters: dict[str, PyrateLimiter] = {}

    async def take(workspace: str) -> bool:
        limiter = limiters.get(workspace)
        if limiter is None:
            made = RedisBucket.init(rates, client, f"pyrate:{workspace}")
            limiter = limiters[workspace] = PyrateLimiter(await made if isinstance(made, Awaitable) else made)
        return await limiter.try_acquire_async(workspace, blocking=False)

    return take, client.aclose


async def _nothing() -> None:
    """Its connections end with the process."""


OURS = Rival("ours", _ours())
#: As the API calls it: with usage counted in the same call, which the others have no notion of.
COUNTING = Rival("ours, counting usage", _ours("key:track"))
RIVALS = (_limits(MovingWindowRateLimiter), _limits(FixedWindowRateLimiter), Rival("pyrate-limiter", _pyrate))


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """Decisions a second, bytes of one workspace, and the accept latency while the server is killed and stopped."""
    for callers in CALLERS:
        rates = _rates(stack.redis_url, callers, options.share(8, 0.5))
        ours = rates.pop(OURS.name)
        told = "; ".join(f"{name}: {rate:,.0f}" for name, rate in rates.items())
        best = max(rates[one.name] for one in RIVALS)
        yield Row(f"quota decisions, two limits, {_callers(callers)}", ours, "decisions/s", best, told)
        if ours <= best and not options.quick:
            raise BenchError(f"ours makes {ours:,.0f} decisions a second, another {best:,.0f}")
    goals = QUICK_DECISIONS if options.quick else DECISIONS
    sizes = {one.name: uvloop.run(_bytes(one, stack.redis_url, goals)) for one in (OURS, COUNTING, *RIVALS)}
    told = "; ".join(f"{name}: {', '.join(f'{size:,}' for size in found)}" for name, found in sizes.items())
    label = f"one workspace after {', '.join(f'{count:,}' for count in goals)} decisions"
    yield Row(f"memory of {label}", sizes[OURS.name][-1], "bytes", notes=told)
    for one in (OURS, COUNTING):
        if max(sizes[one.name]) - min(sizes[one.name]) > DIGITS_BYTES:
            raise BenchError(f"{one.name}: the memory of a workspace is not constant: {sizes[one.name]}")
    yield _outages(stack, options)


def _callers(callers: int) -> str:
    return f"{callers} caller{'s' if callers > 1 else ''}"


def _rates(url: str, callers: int, seconds: float) -> dict[str, float]:
    """Decisions a second of each."""
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for one in (OURS, COUNTING, *RIVALS):
            found.setdefault(one.name, []).append(uvloop.run(_rate(one, url, callers, seconds)))
    rates = {name: statistics.median(rounds) for name, rounds in found.items()}
    for name, rate in rates.items():
        say(f"  {name}, {_callers(callers)}: {rate:,.0f} decisions/s")
    return rates


async def _rate(one: Rival, url: str, callers: int, seconds: float) -> float:
    take, close = await one.make(url)
    done = 0

    async def caller(until: float) -> None:
        nonlocal done
        while time.perf_counter() < until:
            if not await take("1"):
                raise BenchError(f"{one.name} refused")
            done += 1

    await asyncio.gather(*(caller(time.perf_counter() + WARM_SECONDS) for _ in range(callers)))
    done, began = 0, time.perf_counter()
    await asyncio.gather(*(caller(began + seconds) for _ in range(callers)))
    elapsed = time.perf_counter() - began
    await close()
    return done / elapsed


async def _bytes(one: Rival, url: str, goals: Sequence[int]) -> list[int]:
    """What the keys of a workspace take in the server's memory, after so many decisions."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        take, close = await one.make(url)
        done, found = 0, []
        for goal in goals:
            while done < goal:
                await asyncio.gather(*(take("2") for _ in range(100)))
                done += 100
            found.append(sum(int(client.memory_usage(key, samples=0) or 0) for key in client.scan_iter()))
        await close()
        return found


def _outages(stack: Stack, options: Options) -> Row:
    """64 connections, while the server is wiped, stopped, killed and started: every answer has to be a 201."""
    seconds = 5.0 if options.quick else max(6.0, options.seconds)
    site = stack.site("quota")
    with (
        stack.api(site) as port,
        stack.generator(options.users, data.UNIFORM, 200) as generator,
        ThreadPoolExecutor(1) as thread,
    ):
        generator.run(Run(port, site.key, 64, 1.0))
        running = thread.submit(generator.run, Run(port, site.key, 64, seconds))
        began = time.perf_counter()
        # The main thread starts and stops the server: it dies with the thread that started it.
        for fault in (_wipe, _pause, _kill):
            time.sleep(seconds / 5)
            fault(stack)
        result = running.result()
        if time.perf_counter() - began > seconds + 5:
            raise BenchError("the load ended late")
    told = f"wiped, stopped for {PAUSED_SECONDS:g} s, killed and started; median {result.median_ms:.1f} ms; all 201"
    # Below 150 ms is the aim, on a machine that does nothing else.
    return Row(f"accept p99 with faults of Redis, 64 connections, {stack.store}", result.p99_ms, "ms", 150, told)


def _wipe(stack: Stack) -> None:
    with redis.Redis.from_url(stack.redis_url) as client:
        client.flushall()


def _pause(stack: Stack) -> None:
    os.kill(stack.valkey.pid, signal.SIGSTOP)
    time.sleep(PAUSED_SECONDS)
    os.kill(stack.valkey.pid, signal.SIGCONT)


def _kill(stack: Stack) -> None:
    stack.valkey.kill9()
    time.sleep(PAUSED_SECONDS)
    stack.valkey.start()
