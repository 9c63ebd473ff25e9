"""The limiter: takes request tokens from the buckets in Redis, many callers to a round trip, and outlives Redis.

The life of a take: it joins the pending group of its workspace and buckets and waits. The runner, a task that exists
while anything is pending, sends all pending groups as one pipeline, one script call per group, and answers every waiter
from the levels that come back. Takes that arrive meanwhile form the next pipeline. So there is one round trip in flight
per process, whatever the load, and Redis sees one call for sixty-four simultaneous requests of a workspace.

When a round trip fails or takes longer than `TIMEOUT_S`, its waiters are answered from the process's own buckets, and
so is every later take, at once, until a probe finds that Redis answers again. Nothing is replayed: a call that timed
out may have taken its tokens, and those are spent.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import chain, islice
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from app.quota.bucket import Bucket, Grant, Level, answers
from app.quota.local import LocalBuckets, share_of

TIMEOUT_S = 0.05
"""For a whole round trip, connecting included. Longer and a request is better served by the local buckets."""

GRACE_TURNS = 10
"""Of the event loop, after `TIMEOUT_S`: twice what the client takes to read a reply that is there and to clean up."""

BACKSTOP_S = 1.0
"""For one read, write or connect of the client."""

PROBE_S = 0.25
"""At most one probe in this time while Redis is down."""

MAX_SHAPES = 1_000
"""Distinct sets of buckets remembered in prepared form."""

UNLIMITED = Grant(granted=1, limit=0, remaining=0, reset_ms=0, retry_after_ms=0, name="")
"""The answer when no bucket applies. `limit` 0 = there is nothing to put into headers."""

Waiter = asyncio.Future[Grant]


class _Shape:
    """A set of buckets with all that is derived from it, prepared once and compared by identity."""

    __slots__ = ("arguments", "buckets", "local")

    def __init__(self, buckets: tuple[Bucket, ...], local_share: float) -> None:
        if len({bucket.name for bucket in buckets}) != len(buckets):
            raise ValueError("one take cannot use the same bucket twice")
        self.buckets = buckets
        self.local = share_of(buckets, local_share)
        self.arguments = tuple(
            chain.from_iterable((bucket.capacity, bucket.window_ms, bucket.align_ms) for bucket in buckets)
        )


Group = tuple[int, _Shape]
Reply = list[int]


class Limiter:
    """Takes request tokens; one per process and event loop.

    redis           URL (`redis://`, `rediss://`, `unix://path?db=0`), or a function that makes the client, which must
                    then bring its own timeouts and no retries
    key_prefix      put before every key; no braces, which would move the hash tag
    now_ms          epoch ms for the local buckets; those in Redis go by its own clock
    on_transition   called with True when Redis goes down and with False when it is back, once each
    local_share     part of each capacity that this process hands out by itself meanwhile

    `degraded` counts the takes that were decided locally.
    Raises ValueError for a prefix with braces or a share outside 0..1.
    """

    def __init__(
        self,
        redis: str | Callable[[], Redis],
        key_prefix: str,
        *,
        now_ms: Callable[[], int],
        on_transition: Callable[[bool], None],
        local_share: float = 0.5,
    ) -> None:
        if "{" in key_prefix or "}" in key_prefix:
            raise ValueError("a key prefix must not contain braces")
        if not 0 <= local_share <= 1:
            raise ValueError("local_share must be between 0 and 1")
        self.degraded = 0
        self._redis = _client(redis) if isinstance(redis, str) else redis()
        self._key_prefix = key_prefix
        self._now_ms = now_ms
        self._on_transition = on_transition
        self._local_share = local_share
        self._script = Path(__file__).with_name("take.lua").read_bytes()
        self._sha = hashlib.sha1(self._script, usedforsecurity=False).hexdigest()
        self._shapes: dict[tuple[Bucket, ...], _Shape] = {}
        self._pending: dict[Group, list[Waiter]] = {}
        self._runner: asyncio.Task[None] | None = None
        self._local = LocalBuckets()
        self._down = False
        self._closed = False
        self._probe_at = 0.0

    async def take(self, workspace_id: int, buckets: tuple[Bucket, ...]) -> Grant:
        """Take one token from each of `buckets` of this workspace, or none from any.

        Returns `UNLIMITED` when `buckets` is empty. Decided locally while Redis is down, within `TIMEOUT_S` of its
        going down; `limit` and `remaining` are then those of this process's share. A caller that is cancelled has
        spent its token.
        Raises ValueError when two of `buckets` have the same name; a fault of Redis never raises.
        """
        if not buckets:
            return UNLIMITED
        shape = self._shapes.get(buckets) or self._prepare(buckets)
        loop = asyncio.get_running_loop()
        if self._down or self._closed:
            if self._runner is None and not self._closed and loop.time() >= self._probe_at:
                self._runner = loop.create_task(self._probe((workspace_id, shape)))
            return self._decide(workspace_id, shape, 1)[0]
        waiter: Waiter = loop.create_future()
        group = (workspace_id, shape)
        waiters = self._pending.get(group)
        if waiters is None:
            self._pending[group] = [waiter]
        else:
            waiters.append(waiter)
        if self._runner is None:
            # It starts in the next turn of the loop, so that whoever is ready in this turn shares the round trip.
            self._runner = loop.create_task(self._run())
        return await waiter

    async def aclose(self) -> None:
        """Close the connection. Takes still waiting, and any made later, are answered locally."""
        self._closed = True
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})
            self._runner = None
        if self._pending:  # the runner was cancelled before it began, so that it could not do this
            rest, self._pending = list(self._pending.items()), {}
            self._go_down(rest)
        await self._redis.aclose()

    def _prepare(self, buckets: tuple[Bucket, ...]) -> _Shape:
        shape = _Shape(buckets, self._local_share)
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        self._shapes[buckets] = shape
        return shape

    async def _run(self) -> None:
        """Send what is pending until nothing is; if that ends otherwise, go down and answer the rest locally."""
        flight: dict[Group, list[Waiter]] = {}
        try:
            while self._pending:
                flight, self._pending = self._pending, {}
                await self._fly(flight)
        except (RedisError, OSError):
            pass  # counted below, as is any other way to leave with waiters unanswered
        finally:
            self._runner = None
            if flight or self._pending:
                rest = [*flight.items(), *self._pending.items()]
                self._pending = {}
                self._go_down(rest)

    async def _fly(self, flight: dict[Group, list[Waiter]]) -> None:
        """One round trip. Answers and removes the waiters of `flight`; those of a failed call stay, and it raises."""
        replies = await self._round_trip({group: len(waiters) for group, waiters in flight.items()})
        fault: RedisError | None = None
        for group, reply in replies.items():
            if isinstance(reply, RedisError):
                fault = reply
                continue
            _, shape = group
            waiters = flight.pop(group)
            levels = tuple(
                Level(ticks, at_ms, bucket.window_ms)
                for ticks, at_ms, bucket in zip(reply[2::2], reply[3::2], shape.buckets, strict=True)
            )
            _answer(waiters, answers(levels, shape.buckets, len(waiters), granted=reply[1], now_ms=reply[0]))
        if fault is not None:
            raise fault

    async def _round_trip(self, calls: Mapping[Group, int]) -> dict[Group, Reply | RedisError]:
        """The script's reply per group, or its error. Raises RedisError or OSError (as a timeout is) when none came."""
        async with _patience():
            replies = dict(zip(calls, await self._send(calls, load=False), strict=True))
            # A restarted or flushed server has no scripts. The refused calls did nothing: sending them again is safe.
            again = {group: calls[group] for group, reply in replies.items() if isinstance(reply, NoScriptError)}
            if again:
                replies.update(zip(again, await self._send(again, load=True), strict=True))
        return replies

    async def _send(self, calls: Mapping[Group, int], *, load: bool) -> Iterable[Reply | RedisError]:
        pipeline = self._redis.pipeline(transaction=False)
        if load:
            pipeline.execute_command("SCRIPT LOAD", self._script)
        for (workspace_id, shape), wanted in calls.items():
            keys = self._keys(workspace_id, shape)
            pipeline.execute_command("EVALSHA", self._sha, len(shape.buckets), *keys, wanted, "", *shape.arguments)
        replies = await pipeline.execute(raise_on_error=False)
        return islice(replies, 1 if load else 0, None)

    def _keys(self, workspace_id: int, shape: _Shape) -> Iterator[str]:
        tagged = f"{self._key_prefix}q:{{{workspace_id}}}:"
        return (tagged + bucket.name for bucket in shape.buckets)

    async def _probe(self, group: Group) -> None:
        """Take nothing, with the script itself: a server that answers PING may still be full, read-only or loading."""
        back = False
        try:
            back = isinstance((await self._round_trip({group: 0}))[group], list)
        except (RedisError, OSError):
            pass  # still down; every take meanwhile is counted
        finally:
            self._runner = None
            self._probe_at = asyncio.get_running_loop().time() + PROBE_S
        if back:
            self._down = False
            self._on_transition(self._down)

    def _go_down(self, unanswered: list[tuple[Group, list[Waiter]]]) -> None:
        """Answer locally from now on, beginning with these. Once per outage: while down, nothing joins the pending."""
        self._down = True
        self._probe_at = asyncio.get_running_loop().time() + PROBE_S
        for (workspace_id, shape), waiters in unanswered:
            _answer(waiters, self._decide(workspace_id, shape, len(waiters)))
        if not self._closed:
            self._on_transition(self._down)

    def _decide(self, workspace_id: int, shape: _Shape, wanted: int) -> tuple[Grant, ...]:
        self.degraded += wanted
        return self._local.take(workspace_id, shape.local, wanted, self._now_ms())


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """Raise TimeoutError after `TIMEOUT_S` without a reply, but not because this process was too busy to read one.

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

        timer = loop.call_later(TIMEOUT_S, give_up, GRACE_TURNS)
        try:
            yield
        finally:
            timer.cancel()


def _answer(waiters: list[Waiter], grants: tuple[Grant, ...]) -> None:
    for waiter, grant in zip(waiters, grants, strict=True):
        if not waiter.done():  # its caller was cancelled
            waiter.set_result(grant)


def _client(url: str) -> Redis:
    """A client that gives up early and sends nothing twice (the library's defaults are 5 s and ten retries)."""
    # RESP2: with RESP3 the pool no longer notices unread replies on a connection that it hands out again.
    # _patience() is the timeout that counts. These are behind it, for what is done outside a round trip.
    return Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=BACKSTOP_S,
        socket_timeout=BACKSTOP_S,
    )
