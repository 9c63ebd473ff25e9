"""What Redis has of a workspace: buckets, counters of calls, bells. Looked for among all keys, which are few."""

import re
from typing import Final

from app.adapters.doorbell import client

#: Keys of one look, and of one removal.
_COUNT: Final = 1_000


def forget(url: str, prefix: str, workspace_id: int) -> int:
    """Remove the keys of a workspace; how many there were. Raises RedisError. They would expire within a day.

    The key inventories are in app/quota/take.lua and app.adapters.doorbell.
    """
    tag, number = rf"\{{{workspace_id}\}}", str(workspace_id)
    owned = re.compile(rf"{re.escape(prefix)}(?:[qu]:{tag}:|[qu]:\{{c\d+\}}:{number}:|bell:{number}:)".encode())
    everything = re.sub(r"([\[\]*?\\^])", r"\\\1", prefix) + "*"
    redis = client(url)
    try:
        found = [name for name in redis.scan_iter(everything, count=_COUNT) if owned.match(name)]
        for first in range(0, len(found), _COUNT):
            redis.delete(*found[first : first + _COUNT])
    finally:
        redis.close()
    return len(found)
