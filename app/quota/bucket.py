"""Token buckets as a pure function of integers: what a request may take, and what the headers say about it.

This is the reference for `take.lua`, which applies the same rules inside Redis, and the limiter's stand-in when Redis
is away. Times are epoch milliseconds. Nothing here reads a clock.

A token is `window_ms` ticks and every elapsed millisecond adds `capacity` ticks, so `capacity` tokens per window is
exact in integers: no rounding, hence no drift between the two implementations. `capacity * window_ms` stays below
2**53 because Lua counts in doubles.

When the clock is wrong (the rule, in one place):

* It never mints by going back: a level remembers the latest time it has seen and counts only time after it.
* It never stops refill for longer than `CLOCK_SLACK_MS`: a clock that is further back than that was wrong before and is
  right now, so the level keeps its ticks and goes on from the new time.

Any run of takes admits at most capacity + rate x (how far the clock advanced). While the clock never falls more than
`CLOCK_SLACK_MS` behind, measure from its highest reading. A clock-aligned bucket is a fixed window and admits up to
capacity x (1 + boundaries passed): twice its capacity around a boundary, as upstream does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

CLOCK_SLACK_MS = 60_000
"""How far a clock may run back and still be waited for. `take.lua` has the same number."""

TICKS_END = 2**53
"""Integers below this are exact in a double."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit: `capacity` requests per `window_ms`.

    `align_ms` = 0 refills continuously; > 0 refills in full at every multiple of it since the epoch (3_600_000 for
    `hourly_refill = clock_hour`). `name` is what a refusal reports and what the key in Redis ends with; buckets of one
    workspace with the same name are the same bucket, even if their numbers differ. A `company` bucket is one for all
    workspaces of a company; its name differs from those of the workspaces' own. An admitted request is told of a `told`
    bucket, whichever is the tightest.

    Raises ValueError for an empty name, numbers out of range, or capacity x window_ms >= 2**53.
    """

    name: str
    capacity: int
    window_ms: int
    align_ms: int = 0
    company: bool = False
    told: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("a bucket needs a name")
        if self.capacity < 1 or self.window_ms < 1 or self.align_ms < 0:
            raise ValueError(f"bucket {self.name}: capacity and window_ms must be positive, align_ms not negative")
        if self.capacity * self.window_ms >= TICKS_END:
            raise ValueError(f"bucket {self.name}: capacity x window_ms must stay below 2**53")


class Level(NamedTuple):
    """What is left in one bucket: `ticks` as of `at_ms`, where `window_ms` ticks were a token when it was written.

    The window is kept with the ticks so that a changed limit can keep the whole tokens.
    """

    ticks: int
    at_ms: int
    window_ms: int


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to one take, told by its tightest bucket (limits-and-errors.md section 2).

    Admitted: the bucket with the smallest remaining / limit, the first of them on a tie. Refused: the bucket that
    refused, and of several the one that refuses longest.

    granted         tokens taken from every bucket, 0 when refused
    limit           capacity of the bucket told; 0 = no limit applies, and the other fields mean nothing
    remaining       whole tokens left in it, never negative
    reset_ms        admitted: when that bucket is full again (aligned: the next boundary);
                    refused: the first millisecond at which all buckets would admit a request
    retry_after_ms  0 when admitted, else from now until reset_ms
    name            of the bucket told
    now_ms          when it was decided, by the clock that decided; no part of equality
    """

    granted: int
    limit: int
    remaining: int
    reset_ms: int
    retry_after_ms: int
    name: str
    now_ms: int = field(default=0, compare=False)


def take(
    levels: Sequence[Level | None], buckets: Sequence[Bucket], wanted: int, now_ms: int
) -> tuple[Grant, tuple[Level, ...]]:
    """Take up to `wanted` tokens from all buckets: as many as the emptiest has, the same number from each.

    `levels` has one entry per bucket, None for one that was never used, which is full. A refusal takes nothing; its
    levels are the given ones, refilled. `wanted` = 0 looks without taking.

    Returns the answer as it stands after the last token, and the levels to keep. Raises ValueError when there is no
    bucket, when `levels` and `buckets` differ in length, or for a negative `wanted`, which would mint.
    """
    if not buckets or wanted < 0:
        raise ValueError("take needs at least one bucket, and a count of zero or more")
    filled = [_refill(level, bucket, now_ms) for level, bucket in zip(levels, buckets, strict=True)]
    granted = min(wanted, *(level.ticks // bucket.window_ms for level, bucket in zip(filled, buckets, strict=True)))
    kept = tuple(
        Level(level.ticks - granted * bucket.window_ms, level.at_ms, bucket.window_ms)
        for level, bucket in zip(filled, buckets, strict=True)
    )
    lacks = any(level.ticks < level.window_ms for level in kept)
    grant = _refused(kept, buckets, now_ms) if not granted and lacks else _admitted(kept, buckets, granted, now_ms)
    return grant, kept


def spend(level: Level | None, bucket: Bucket, now_ms: int) -> tuple[Level, Grant | None]:
    """As `take` of one token from one bucket, for a caller who is told nothing unless it is refused: cheaper.

    The level to keep, and the refusal.
    """
    filled = _refill(level, bucket, now_ms)
    if filled.ticks < bucket.window_ms:
        return filled, _refused((filled,), (bucket,), now_ms)
    return Level(filled.ticks - bucket.window_ms, filled.at_ms, bucket.window_ms), None


def answers(
    levels: Sequence[Level], buckets: Sequence[Bucket], wanted: int, granted: int, now_ms: int
) -> tuple[Grant, ...]:
    """Divide one take of `wanted` among as many callers: what each would have heard from a take of its own, in order.

    `levels` is what the take left, at `now_ms`. The first `granted` callers are admitted, the others refused.
    """
    admitted = tuple(_admitted(levels, buckets, 1, now_ms, later) for later in range(granted - 1, -1, -1))
    if granted == wanted:
        return admitted
    return admitted + (_refused(levels, buckets, now_ms),) * (wanted - granted)


def full_at(level: Level, bucket: Bucket) -> int:
    """The first millisecond at which an untouched `level` of `bucket` is full; its own time when it already is."""
    missing = bucket.capacity * bucket.window_ms - level.ticks
    if missing and bucket.align_ms:
        return _boundary_after(level.at_ms, bucket.align_ms)
    return level.at_ms - (-missing // bucket.capacity)


def _refill(level: Level | None, bucket: Bucket, now_ms: int) -> Level:
    full = bucket.capacity * bucket.window_ms
    if level is None:
        return Level(full, now_ms, bucket.window_ms)
    ticks, at_ms, window_ms = level
    if window_ms != bucket.window_ms:
        ticks = ticks // window_ms * bucket.window_ms
    ticks = min(ticks, full)
    if now_ms <= at_ms:
        behind = at_ms - now_ms <= CLOCK_SLACK_MS
        return Level(ticks, at_ms if behind else now_ms, bucket.window_ms)
    if bucket.align_ms:
        if now_ms >= _boundary_after(at_ms, bucket.align_ms):
            ticks = full
    else:
        ticks = min(full, ticks + (now_ms - at_ms) * bucket.capacity)
    return Level(ticks, now_ms, bucket.window_ms)


def _boundary_after(at_ms: int, align_ms: int) -> int:
    return (at_ms // align_ms + 1) * align_ms


def _token_at(level: Level, bucket: Bucket) -> int:
    """The first millisecond at which `level`, which holds less than a token, holds one."""
    if bucket.align_ms:
        return _boundary_after(level.at_ms, bucket.align_ms)
    return level.at_ms - ((level.ticks - bucket.window_ms) // bucket.capacity)


def _admitted(levels: Sequence[Level], buckets: Sequence[Bucket], granted: int, now_ms: int, later: int = 0) -> Grant:
    """The answer to an admitted caller after whom, at the same instant, `later` more tokens were taken."""
    chosen = next((pair for pair in zip(levels, buckets, strict=True) if pair[1].told), None)
    if chosen is not None:
        levels, buckets = (chosen[0],), (chosen[1],)
    told, remaining = buckets[0], levels[0].ticks // buckets[0].window_ms + later
    left = levels[0]
    for level, bucket in zip(levels[1:], buckets[1:], strict=True):
        tokens = level.ticks // bucket.window_ms + later
        # tokens / capacity < remaining / told.capacity, without the division
        if tokens * told.capacity < remaining * bucket.capacity:
            told, remaining, left = bucket, tokens, level
    if told.align_ms:
        reset_ms = _boundary_after(left.at_ms, told.align_ms)
    else:
        missing = (told.capacity - later) * told.window_ms - left.ticks
        reset_ms = left.at_ms - (-missing // told.capacity)
    return Grant(granted, told.capacity, remaining, reset_ms, 0, told.name, now_ms)


def _refused(levels: Sequence[Level], buckets: Sequence[Bucket], now_ms: int) -> Grant:
    # Only those that lack a token: one that has a token admits at once, even with a level ahead of a clock gone back.
    lacking = [pair for pair in zip(levels, buckets, strict=True) if pair[0].ticks < pair[1].window_ms]
    level, bucket = max(lacking, key=lambda pair: _token_at(*pair))  # the first of equals
    reset_ms = _token_at(level, bucket)
    return Grant(0, bucket.capacity, 0, reset_ms, reset_ms - now_ms, bucket.name, now_ms)
