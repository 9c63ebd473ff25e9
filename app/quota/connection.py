"""The connection to Redis, and how long anybody waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff

from app import sentinels

TIMEOUT_S = 0.05
"""For a whole round trip, connecting included, unless told otherwise. Longer, and the local buckets serve better."""

GRACE_TURNS = 10
"""Of the event loop, after the time-out: twice what the client takes to read a reply that is there and to clean up."""

BACKSTOP_S = 1.0
"""For one read, write or connect of the client."""


@asynccontextmanager
async def patience(seconds: float = TIMEOUT_S) -> AsyncIterator[None]:
    """Raise TimeoutError after so many seconds without a reply, but not because this process was too busy to read one.

    When the loop stalls, the reply and the timer are found due in the same turn, and the plain timeout would win: a
    healthy server would count as slow just when there is much to do. So the reply gets a few turns more to be read in.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.Handle
    async with asyncio.timeout(None) as limit:

        def give_up(turns: int) -> None:
            nonlocal timer
            if turns:
                timer = loop.call_soon(give_up, turns - 1)
            else:
                limit.reschedule(0)

        timer = loop.call_later(seconds, give_up, GRACE_TURNS)
        try:
            yield
        finally:
            timer.cancel()


def connect(url: str) -> Redis:
    """A client that gives up early and sends nothing twice (the library's defaults are 5 s and ten retries)."""
    options: dict[str, Any] = {
        # RESP2: with RESP3 the pool no longer notices unread replies on a connection that it hands out again.
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        # patience() is the timeout that counts. These are behind it, for what is done outside a round trip.
        "socket_connect_timeout": BACKSTOP_S,
        "socket_timeout": BACKSTOP_S,
    }
    found = sentinels.parse(url)
    if found is None:
        return Redis.from_url(url, **options)
    asked: Any = _Sentinels(found.hosts, sentinel_kwargs=found.asking(options))  # type: ignore[no-untyped-call]
    primary: Redis = asked.master_for(found.group, **found.server_options, **options)
    return primary


async def close(client: Redis) -> None:
    """Close a client, and its connections to sentinels."""
    await client.aclose()
    if isinstance(pool := client.connection_pool, SentinelConnectionPool):
        await pool.sentinel_manager.aclose()


class _Sentinels(Sentinel):
    """Whoever asks gives up after some milliseconds. A sentinel that has not answered by then is asked last the next
    time: else one that is away, and refuses no connection, would hide the others for good."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Host and port of the primary. Raises RedisError or OSError."""
        try:
            address: tuple[str, int] = await super().discover_master(service_name)
        except asyncio.CancelledError:
            self.sentinels.append(self.sentinels.pop(0))
            raise
        return address
