"""The suite is no rubber stamp: each of these mistakes, planted into take.lua, is found by comparing with the model."""

import asyncio
import random
from functools import partial
from itertools import chain

import pytest

from app.quota.bucket import Bucket, Level, take
from app.quota.limiter import Group, Limiter, Waiter
from tests.quota import histories
from tests.quota.desk import HOUR, burst
from tests.quota.server import Server
from tests.quota.take import FRESH, SCRIPT, call

SEED = 20261124

BUGS = {
    "float tokens": (
        "ticks = ticks + (now - at) * capacity",
        "ticks = (ticks / window + (now - at) / window * capacity) * window",
    ),
    "a token for a part of one": (
        "granted = math.min(granted, whole(ticks, window))",
        "granted = math.min(granted, math.ceil(ticks / window))",
    ),
    "minting on a backward step": (
        "      return ticks, at\n",
        "      return math.min(full, ticks + (at - now) * capacity), at\n",
    ),
    "the clock goes back at once": ("if at - now <= SLACK then", "if false then"),
    "taking from one when the other refuses": (
        "local ticks = b.ticks - granted * b.window",
        "local ticks = b.ticks - math.min(wanted, whole(b.ticks, b.window)) * b.window",
    ),
    "a changed window refills": ("ticks = math.min(whole(ticks, written), capacity) * window", "ticks = full"),
    "a boundary a moment late": ("if now >= boundary_after(at, align) then", "if now > boundary_after(at, align) then"),
}


def bucket(chance: random.Random, name: str, sizes: list[tuple[int, int]]) -> Bucket:
    capacity, window_ms = chance.choice(sizes)
    return Bucket(name, capacity, window_ms, window_ms if chance.random() < 0.3 else 0)


def differs(valkey: Server, script: str) -> bool:
    """Whether random histories tell the script from the model."""
    chance = random.Random(SEED)
    sizes = [*histories.SIZES, (5, 1_000), (4, 3_000)]
    for _ in range(150):
        limits = [tuple(bucket(chance, name, sizes) for name in "ab") for _ in range(2)]
        workspace_id, now_ms = next(FRESH), histories.START_MS
        levels: tuple[Level | None, ...] = (None, None)
        for _ in range(12):
            now_ms += chance.choice([0, 1, 7, 333, 1_000, 3_600_000 - now_ms % 3_600_000, -3, -4_000, -70_000])
            wanted, buckets = chance.randrange(9), limits[chance.random() < 0.2]
            grant, levels = take(levels, buckets, wanted, now_ms)
            kept = [(level.ticks, level.at_ms) for level in levels if level is not None]
            reply = [now_ms, grant.granted, *chain.from_iterable(kept)]
            if call(valkey.client, workspace_id, buckets, wanted, now_ms, script) != reply:
                return True
    return False


def test_without_a_bug_there_is_no_difference(valkey: Server) -> None:
    print(f"seed {SEED}")
    assert not differs(valkey, SCRIPT)


@pytest.mark.parametrize("bug", BUGS)
def test_planted(valkey: Server, bug: str) -> None:
    right, wrong = BUGS[bug]
    assert SCRIPT.count(right) == 1, "the script has changed: plant it anew"
    print(f"seed {SEED}")
    assert differs(valkey, SCRIPT.replace(right, wrong))


class ApplicationClock(Limiter):
    """Every process brings its own time."""

    def _call(self, group: Group, waiters: list[Waiter]) -> tuple[list[str], list[int | str]]:
        keys, arguments = super()._call(group, waiters)
        return keys, [arguments[0], self._now_ms(), *arguments[2:]]


@pytest.mark.parametrize(("limiter", "granted"), [(Limiter, 0), (ApplicationClock, 10)])
def test_the_clock_of_the_application(valkey: Server, limiter: type[Limiter], granted: int) -> None:
    """A process whose clock is an hour ahead finds an empty bucket full again."""

    async def scenario() -> int:
        # On a busy machine the usual timeout is over before Valkey ran, and then limiters grant their own shares.
        one, ahead = (
            limiter(valkey.url, "t:", now_ms=partial(int, hours * HOUR), on_transition=lambda _: None, timeout_s=10.0)
            for hours in (1, 2)
        )
        try:
            await burst(one, 10)
            return sum(grant.granted for grant in await burst(ahead, 10))
        finally:
            await one.aclose()
            await ahead.aclose()

    assert asyncio.run(scenario()) == granted
