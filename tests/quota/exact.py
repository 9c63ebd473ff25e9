"""The token bucket once more, in rational arithmetic and written differently: what bucket.py and take.lua must equal.

Tokens are fractions, not ticks. The clock rule is bucket.py's: wait up to a minute for a clock gone back, else believe
it.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from app.quota.bucket import Bucket, Grant


class ExactBucket:
    def __init__(self) -> None:
        self.tokens: Fraction | None = None
        self.seen_ms = 0
        self.window_ms = 0

    def advance(self, bucket: Bucket, now_ms: int) -> None:
        if self.tokens is None:
            self.tokens, self.seen_ms, self.window_ms = Fraction(bucket.capacity), now_ms, bucket.window_ms
        if self.window_ms != bucket.window_ms:
            self.tokens, self.window_ms = Fraction(math.floor(self.tokens)), bucket.window_ms
        if now_ms > self.seen_ms:
            if bucket.align_ms:
                crossed = now_ms // bucket.align_ms - self.seen_ms // bucket.align_ms
                self.tokens += crossed * bucket.capacity
            else:
                self.tokens += Fraction((now_ms - self.seen_ms) * bucket.capacity, bucket.window_ms)
            self.seen_ms = now_ms
        elif now_ms < self.seen_ms - 60_000:
            self.seen_ms = now_ms
        self.tokens = min(self.tokens, Fraction(bucket.capacity))

    def reaches_at(self, goal: int, bucket: Bucket) -> int:
        """The first millisecond with at least `goal` tokens, of which some are missing now."""
        assert self.tokens is not None
        if bucket.align_ms:
            return math.floor(Fraction(self.seen_ms, bucket.align_ms) + 1) * bucket.align_ms
        return math.ceil(self.seen_ms + (goal - self.tokens) * Fraction(bucket.window_ms, bucket.capacity))


class Exact:
    """n buckets, taken from together, one request at a time."""

    def __init__(self, count: int) -> None:
        self.parts = [ExactBucket() for _ in range(count)]

    def take(self, buckets: Sequence[Bucket], wanted: int, now_ms: int) -> list[Grant]:
        """Advance, then one request after another. (Refused ones change nothing, so the first ends the walk.)"""
        for part, bucket in zip(self.parts, buckets, strict=True):
            part.advance(bucket, now_ms)
        grants: list[Grant] = []
        while len(grants) < wanted:
            grants.append(self._take_one(buckets, now_ms))
            if not grants[-1].granted:
                grants += grants[-1:] * (wanted - len(grants))
        return grants

    def state(self) -> list[tuple[Fraction | None, int]]:
        return [(part.tokens, part.seen_ms) for part in self.parts]

    def _take_one(self, buckets: Sequence[Bucket], now_ms: int) -> Grant:
        pairs = list(zip(self.parts, buckets, strict=True))
        tokens = [part.tokens for part in self.parts if part.tokens is not None]
        if min(tokens) < 1:
            waits = [
                (part.reaches_at(1, bucket), -i, bucket)
                for i, (part, bucket) in enumerate(pairs)
                if part.tokens is not None and part.tokens < 1
            ]
            reset_ms, _, told = max(waits, key=lambda wait: wait[:2])
            return Grant(0, told.capacity, 0, reset_ms, reset_ms - now_ms, told.name)
        for part, left in zip(self.parts, tokens, strict=True):
            part.tokens = left - 1
        shares = [Fraction(math.floor(left - 1), bucket.capacity) for left, bucket in zip(tokens, buckets, strict=True)]
        part, told = pairs[shares.index(min(shares))]
        assert part.tokens is not None
        return Grant(
            1, told.capacity, math.floor(part.tokens), part.reaches_at(told.capacity, told), 0, told.name
        )  # fmt: skip
