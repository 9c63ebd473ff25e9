"""The limiter: takes request tokens from the buckets in Redis, many callers to a round trip, and outlives Redis.

The life of a take: it joins the pending group of its workspace and buckets and waits. A flight takes all pending groups
as one pipeline, one script call per group, and answers every waiter from the levels that come back. Takes that arrive
meanwhile form the next pipeline. So there is one round trip in flight per process, whatever the load, and Redis sees
one call for sixty-four simultaneous requests of a workspace.

A flight over a connection that is there is a few callbacks. What else there is to do, which is rare, is done by the
runner, a task: to connect, and to load the script.

When a round trip fails or takes longer than `TIMEOUT_S`, its waiters are answered from the process's own buckets, and
so is every later take, at once, until a probe finds that Redis answers again. Nothing is replayed: a call that timed
out may have taken its tokens, and those are spent.

More than 300 lines: pending groups, flight, runner, outage and probe are one state, which one class holds.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path

from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, RedisError

from app.quota.bucket import Bucket, Grant, Level, answers, take
from app.quota.connection import BACKSTOP_S, GRACE_TURNS, TIMEOUT_S, close, connect, patience
from app.quota.local import LocalBuckets, share_of
from app.quota.usage import DAY_MS, MINUTE_MS, MINUTES_A_DAY, Minute, minutes
from app.quota.wire import Command, Replies, Wire

PROBE_S = 0.25
"""At most one probe in this time while Redis is down."""

MAX_SHAPES = 1_000
"""Distinct sets of buckets remembered in prepared form."""

UNLIMITED = Grant(granted=1, limit=0, remaining=0, reset_ms=0, retry_after_ms=0, name="")
"""The answer when no bucket applies. `limit` 0 = there is nothing to put into headers."""

Waiter = tuple[asyncio.Future[Grant], str]
"""Who waits, and under what name the request is counted ("" = it is not)."""


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


Group = tuple[int, int | None, _Shape]
"""Workspace, its company, and the buckets."""

Reply = list[int]


class Limiter:
    """Takes request tokens; one per process and event loop.

    redis           URL: `redis://`, `rediss://`, `redis+sentinel://`, `unix://path?db=0`
    key_prefix      put before every key; no braces, which would move the hash tag
    now_ms          epoch ms for the local buckets; those in Redis go by its own clock
    on_transition   called with True when Redis goes down and with False when it is back, once each
    local_share     part of each capacity that this process hands out by itself meanwhile
    timeout_s       seconds for a whole round trip; without a reply by then Redis counts as down

    `degraded` counts the takes that were decided locally, `round_trips` those to Redis, `admitted` and `refused` the
    answers, all since the start; `down` says whether Redis is away.
    Raises ValueError for a prefix with braces or a share outside 0..1.
    """

    def __init__(
        self,
        redis: str,
        key_prefix: str,
        *,
        now_ms: Callable[[], int],
        on_transition: Callable[[bool], None],
        local_share: float = 0.5,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if "{" in key_prefix or "}" in key_prefix:
            raise ValueError("a key prefix must not contain braces")
        if not 0 <= local_share <= 1:
            raise ValueError("local_share must be between 0 and 1")
        self.degraded = self.round_trips = self.admitted = self.refused = 0
        #: For what is rare; takes have a connection of their own.
        self._redis = connect(redis)
        self._key_prefix = key_prefix
        self._now_ms = now_ms
        self._on_transition = on_transition
        self._local_share = local_share
        self._timeout_s = timeout_s
        self._script = Path(__file__).with_name("take.lua").read_text()
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._shapes: dict[tuple[Bucket, ...], _Shape] = {}
        self._pending: dict[Group, list[Waiter]] = {}
        self._runner: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        #: Whether a flight without the runner was planned or has begun, who is in it, and until when it is waited for.
        self._flies = False
        self._flight: dict[Group, list[Waiter]] = {}
        self._patience: asyncio.Handle | None = None
        self._local = LocalBuckets()
        self._down = False
        self._closed = False
        self._probe_at = 0.0

    @property
    def down(self) -> bool:
        """Whether takes are decided locally, because Redis did not answer the last time."""
        return self._down

    async def take(
        self, workspace_id: int, buckets: tuple[Bucket, ...], company_id: int | None = None, counter: str = ""
    ) -> Grant:
        """Take one token from each of `buckets` of this workspace, or none from any.

        `counter` is the name under which `usage` tells of it later: no spaces, no braces.
        Returns `UNLIMITED` when `buckets` is empty. Decided locally while Redis is down, within `timeout_s` of its
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
                self._runner = loop.create_task(self._probe((workspace_id, company_id, shape)))
            return self._decide((workspace_id, company_id, shape), 1)[0]
        future: asyncio.Future[Grant] = loop.create_future()
        group = (workspace_id, company_id, shape)
        waiters = self._pending.get(group)
        if waiters is None:
            self._pending[group] = [(future, counter)]
        else:
            waiters.append((future, counter))
        if self._runner is None and not self._flies:
            # It starts in the next turn of the loop, so that whoever is ready in this turn shares the round trip.
            self._flies = True
            loop.call_soon(self._depart)
        return await future

    async def peek(
        self, workspace_id: int, buckets: tuple[Bucket, ...], company_id: int | None = None
    ) -> tuple[Grant, ...] | None:
        """What is left in each bucket, as a Grant that took nothing; None while Redis is away.

        It asks the script for zero tokens, so it writes each level again as it is now, and takes nothing.
        """
        shape = self._shapes.get(buckets) or self._prepare(buckets)
        reply = await self._look((workspace_id, company_id, shape))
        if reply is None:
            return None
        pairs = zip(_levels(reply, shape), buckets, strict=True)
        return tuple(take((level,), (bucket,), 0, reply[0])[0] for level, bucket in pairs)

    async def standing(
        self, workspace_id: int, buckets: tuple[Bucket, ...], company_id: int | None = None
    ) -> Grant | None:
        """What is left of the tightest bucket, as a Grant that took nothing; None while Redis is away."""
        if not buckets:
            return UNLIMITED
        shape = self._shapes.get(buckets) or self._prepare(buckets)
        reply = await self._look((workspace_id, company_id, shape))
        return None if reply is None else take(_levels(reply, shape), buckets, 0, reply[0])[0]

    async def _look(self, group: Group) -> Reply | None:
        """The script's reply to a take of nothing; None while Redis is away."""
        if self._down or self._closed:
            return None
        keys, arguments = self._call(group, [])
        try:
            # With the whole script, on a connection of its own: this is rare, and holds up no take. The pool keeps
            # what is connected here.
            pool = self._redis.connection_pool
            async with asyncio.timeout(BACKSTOP_S):
                await pool.release(await pool.get_connection())  # type: ignore[no-untyped-call]
            async with patience(self._timeout_s):
                reply: Reply = await self._redis.eval(self._script, len(keys), *keys, *arguments)
        except (RedisError, OSError):
            return None
        return reply

    async def usage(
        self, workspace_id: int, counters: Sequence[str], company_id: int | None = None
    ) -> dict[str, list[Minute]] | None:
        """Per counter, the minutes of the last day in which there was a request; None while Redis is away."""
        if self._down or self._closed:
            return None
        now_ms = self._now_ms()
        today, first = now_ms // DAY_MS, now_ms // MINUTE_MS - (MINUTES_A_DAY - 1)
        used: dict[str, list[Minute]] = {counter: [] for counter in counters}
        if not counters:
            return used
        days = (today - 1, today)
        names = [self._counter(workspace_id, company_id, counter, day) for counter in counters for day in days]
        try:
            async with asyncio.timeout(BACKSTOP_S):
                values = await self._redis.mget(names)
        except (RedisError, OSError):
            return None
        places = ((counter, day) for counter in counters for day in days)
        for (counter, day), value in zip(places, values, strict=True):
            used[counter] += [minute for minute in minutes(value, day) if minute.minute >= first]
        return used

    async def aclose(self) -> None:
        """Close the connection. Takes still waiting, and any made later, are answered locally."""
        self._closed = True
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.wait({self._runner})
            self._runner = None
        self._flies = False
        self._keep_calm()
        # Those of a flight, and of a runner that was cancelled before it began, so that it could not do this.
        rest = [*self._flight.items(), *self._pending.items()]
        self._flight, self._pending = {}, {}
        if rest:
            self._go_down(rest)
        self._hang_up()
        await close(self._redis)

    def _prepare(self, buckets: tuple[Bucket, ...]) -> _Shape:
        shape = _Shape(buckets, self._local_share)
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        self._shapes[buckets] = shape
        return shape

    def _depart(self) -> None:
        """Send what is pending, over the connection that is there; where there is none, by the runner."""
        if not self._flies:  # closed meanwhile
            return
        if self._wire is None or not self._wire.usable:
            self._flies = False
            self._runner = asyncio.get_running_loop().create_task(self._run())
            return
        self._flight, self._pending = self._pending, {}
        self.round_trips += 1
        self._patience = asyncio.get_running_loop().call_later(self._timeout_s, self._is_late, GRACE_TURNS)
        try:
            self._wire.send(self._commands(self._flight), self._landed)
        except BaseException:
            self._landed(LostError("not sent"))  # nobody waits for what will never come
            raise

    def _is_late(self, turns: int) -> None:
        """As `patience`: no reply yet, or this process was too busy to read it."""
        if turns:
            self._patience = asyncio.get_running_loop().call_soon(self._is_late, turns - 1)
        else:
            self._hang_up()  # so that the flight is lost

    def _keep_calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _landed(self, replies: Replies) -> None:
        """Answer those in flight, and go on with who came meanwhile. Whoever has no answer then is answered locally."""
        if not self._flies:  # closed meanwhile
            return
        self._keep_calm()
        flight, self._flight = self._flight, {}
        self._flies = False
        try:
            if isinstance(replies, LostError):
                self._hang_up()
            else:
                calls = list(zip(list(flight), replies, strict=True))
                self._deliver(flight, calls)
                # A restarted or flushed server has no scripts. The refused calls did nothing: they may be sent again.
                again = {group: flight.pop(group) for group, reply in calls if isinstance(reply, NoScriptError)}
                if again:
                    for group, waiters in self._pending.items():
                        again[group] = again.get(group, []) + waiters
                    self._pending = again
                    self._runner = asyncio.get_running_loop().create_task(self._run())
        finally:
            if flight:
                rest = [*flight.items(), *self._pending.items()]
                self._pending = {}
                self._go_down(rest)
            elif self._pending and self._runner is None:
                self._flies = True
                self._depart()

    async def _run(self) -> None:
        """Send what is pending until nothing is; if that ends otherwise, go down and answer the rest locally."""
        flight: dict[Group, list[Waiter]] = {}
        try:
            while self._pending:
                flight, self._pending = self._pending, {}
                self._deliver(flight, (await self._round_trip(flight)).items())
                if flight:
                    break
        except (RedisError, OSError):
            pass  # counted below, as is any other way to leave with waiters unanswered
        finally:
            self._runner = None
            if flight or self._pending:
                rest = [*flight.items(), *self._pending.items()]
                self._pending = {}
                self._go_down(rest)

    def _deliver(self, flight: dict[Group, list[Waiter]], replies: Iterable[tuple[Group, Reply | RedisError]]) -> None:
        """Answer and remove the waiters of `flight`; those of a failed call stay."""
        for group, reply in replies:
            if isinstance(reply, RedisError):
                continue
            shape = group[2]
            waiters = flight.pop(group)
            grants = answers(_levels(reply, shape), shape.buckets, len(waiters), granted=reply[1], now_ms=reply[0])
            self._count(grants)
            _answer(waiters, grants)

    async def _round_trip(self, calls: Mapping[Group, list[Waiter]]) -> dict[Group, Reply | RedisError]:
        """The script's reply per group, or its error. Raises RedisError or OSError (as a timeout is) when none came."""
        self.round_trips += 1
        done = False
        try:
            async with patience(self._timeout_s):
                wire = await self._connected()
                replies = dict(zip(calls, await self._send(wire, calls), strict=True))
                # A restarted or flushed server has no scripts. The refused calls did nothing: they may be sent again.
                again = {group: calls[group] for group, reply in replies.items() if isinstance(reply, NoScriptError)}
                if again:
                    replies.update(zip(again, await self._send(wire, again, load=True), strict=True))
            done = True
        finally:
            if not done:
                self._hang_up()
        return replies

    async def _connected(self) -> Wire:
        """The connection of the takes, made where there is none. Raises RedisError or OSError."""
        if self._wire is None or not self._wire.usable:
            self._wire = await Wire.open(self._redis)
        return self._wire

    async def _send(
        self, wire: Wire, calls: Mapping[Group, list[Waiter]], *, load: bool = False
    ) -> list[Reply | RedisError]:
        commands: list[Command] = [("SCRIPT", "LOAD", self._script)] if load else []
        return (await wire.call(commands + self._commands(calls)))[len(commands) :]

    def _commands(self, calls: Mapping[Group, list[Waiter]]) -> list[Command]:
        commands: list[Command] = []
        for group, waiters in calls.items():
            keys, arguments = self._call(group, waiters)
            commands.append(("EVALSHA", self._sha, len(keys), *keys, *arguments))
        return commands

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _call(self, group: Group, waiters: list[Waiter]) -> tuple[list[str], list[int | str]]:
        """KEYS and ARGV of take.lua for those who wait, in the order in which they came."""
        workspace_id, company_id, shape = group
        tag = str(workspace_id) if company_id is None else f"c{company_id}"
        own = "" if company_id is None else f"{workspace_id}:"
        start = f"{self._key_prefix}q:{{{tag}}}:"
        keys = [f"{start}{'' if bucket.company else own}{bucket.name}" for bucket in shape.buckets]
        arguments: list[int | str] = [len(waiters), "", len(shape.buckets), *shape.arguments]
        counters: dict[str, int] = {}
        runs: list[int | str] = []
        for counter, run in groupby(counter for _, counter in waiters):
            if counter:
                number = counters.setdefault(counter, len(counters) + 1)
                runs += (number, sum(1 for _ in run))
            else:
                runs += (0, sum(1 for _ in run))
        if counters:
            day, rest = divmod(self._now_ms(), DAY_MS)
            keys += [self._counter(workspace_id, company_id, counter, day) for counter in counters]
            arguments += (rest // MINUTE_MS, *runs)
        return keys, arguments

    def _counter(self, workspace_id: int, company_id: int | None, counter: str, day: int) -> str:
        tag = str(workspace_id) if company_id is None else f"c{company_id}"
        return f"{self._key_prefix}u:{{{tag}}}:{workspace_id}:{counter}:{day}"

    async def _probe(self, group: Group) -> None:
        """Take nothing, with the script itself: a server that answers PING may still be full, read-only or loading."""
        back = False
        try:
            # Nobody waits for a probe, so it has time to connect: a take would give up on TLS to a server far away.
            async with asyncio.timeout(BACKSTOP_S):
                await self._connected()
            back = isinstance((await self._round_trip({group: []}))[group], list)
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
        for group, waiters in unanswered:
            _answer(waiters, self._decide(group, len(waiters)))
        if not self._closed:
            self._on_transition(self._down)

    def _decide(self, group: Group, wanted: int) -> tuple[Grant, ...]:
        workspace_id, company_id, shape = group
        grants = self._local.take(workspace_id, shape.local, wanted, self._now_ms(), company_id)
        self.degraded += wanted
        self._count(grants)
        return grants

    def _count(self, grants: tuple[Grant, ...]) -> None:
        admitted = sum(grant.granted for grant in grants)
        self.admitted += admitted
        self.refused += len(grants) - admitted


def _answer(waiters: list[Waiter], grants: tuple[Grant, ...]) -> None:
    for (future, _), grant in zip(waiters, grants, strict=True):
        if not future.done():  # its caller was cancelled
            future.set_result(grant)


def _levels(reply: Reply, shape: _Shape) -> tuple[Level, ...]:
    return tuple(
        Level(ticks, at_ms, bucket.window_ms)
        for ticks, at_ms, bucket in zip(reply[2::2], reply[3::2], shape.buckets, strict=True)
    )
