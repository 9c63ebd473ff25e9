"""The buckets of one process, for the time Redis is away.

The rules are `bucket.take`; only the capacity is smaller, because every process hands out its own. They are not carried
over to Redis or back: what they admitted is known to this process only.
"""

from collections.abc import Hashable, Sequence
from dataclasses import replace

from app.quota.bucket import Bucket, Grant, Level, answers, full_at, spend, take

MAX_LEVELS = 10_000
"""Levels kept, some 2 MB. Beyond it the full ones go (they say nothing), then the oldest."""


def share_of(buckets: Sequence[Bucket], share: float) -> tuple[Bucket, ...]:
    """The same limits at `share` of their capacity, rounded down, at least one request per window."""
    return tuple(replace(bucket, capacity=max(1, int(bucket.capacity * share))) for bucket in buckets)


class LocalBuckets:
    """Levels by owner and bucket name, in memory, at most `max_levels` and one call's more."""

    def __init__(self, max_levels: int = MAX_LEVELS) -> None:
        self._max_levels = max_levels
        self._levels: dict[tuple[Hashable, str], tuple[Level, Bucket]] = {}

    def __len__(self) -> int:
        return len(self._levels)

    def take(
        self, owner: Hashable, buckets: Sequence[Bucket], wanted: int, now_ms: int, company: Hashable = None
    ) -> tuple[Grant, ...]:
        """Take for `wanted` callers at once; one Grant each, in order. `buckets` are already the process's share.

        `company` has the company buckets among them, `owner` the others.
        """
        keys = [(company if bucket.company else owner, bucket.name) for bucket in buckets]
        held = [self._levels.get(key) for key in keys]
        grant, kept = take([pair and pair[0] for pair in held], buckets, wanted, now_ms)
        if len(self._levels) + len(buckets) > self._max_levels:
            self._evict(now_ms)
        for key, level, bucket in zip(keys, kept, buckets, strict=True):
            self._levels[key] = (level, bucket)
        return answers(kept, buckets, wanted, grant.granted, now_ms)

    def spend(self, owner: Hashable, bucket: Bucket, now_ms: int) -> Grant | None:
        """Take one token of a bucket of an owner's: None, or the refusal."""
        key = (owner, bucket.name)
        held = self._levels.get(key)
        level, refusal = spend(held and held[0], bucket, now_ms)
        if held is None and len(self._levels) >= self._max_levels:
            self._evict(now_ms)
        self._levels[key] = (level, bucket)
        return refusal

    def lacks(self, owner: Hashable, bucket: Bucket, now_ms: int) -> Grant | None:
        """The refusal that a take of one would get now; None when it would be admitted. Changes nothing."""
        held = self._levels.get((owner, bucket.name))
        if held is None:
            return None
        grant, _ = take((held[0],), (bucket,), 1, now_ms)
        return None if grant.granted else grant

    def _evict(self, now_ms: int) -> None:
        """Forget what is full by now; if that frees less than half, the least recently created of the rest as well.

        Down to half, so that the walk is paid once in thousands of calls. A forgotten bucket that was not full starts
        again full, which is one capacity too much for that workspace: the price of a bound on memory.
        """
        self._levels = {key: pair for key, pair in self._levels.items() if full_at(*pair) > now_ms}
        surplus = len(self._levels) - self._max_levels // 2
        for key in list(self._levels)[: max(0, surplus)]:
            del self._levels[key]
