"""The script that takes from buckets, called as the limiter calls it, or another in its place."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import cast

import redis

import app.quota.limiter
from app.quota.bucket import Bucket

SCRIPT = Path(app.quota.limiter.__file__).with_name("take.lua").read_text(encoding="utf-8")


FRESH = count(1)


def keys(workspace_id: int, buckets: Sequence[Bucket]) -> list[str]:
    return [f"t:q:{{{workspace_id}}}:{bucket.name}" for bucket in buckets]


def call(
    client: redis.Redis,
    workspace_id: int,
    buckets: Sequence[Bucket],
    wanted: int,
    now_ms: int | str,
    script: str = SCRIPT,
) -> list[int]:
    limits = chain.from_iterable((bucket.capacity, bucket.window_ms, bucket.align_ms) for bucket in buckets)
    arguments = [str(value) for value in (wanted, now_ms, len(buckets), *limits)]
    return cast("list[int]", client.eval(script, len(buckets), *keys(workspace_id, buckets), *arguments))
