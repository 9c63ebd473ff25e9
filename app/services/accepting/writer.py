"""The coalescing writer: requests that arrive while a commit is in flight share the next one.

One commit costs a disk flush whatever it holds, so sixty-four simultaneous requests cost one flush and not sixty-four.
A commit for one stream of PostgreSQL, which most are, is waited for by the event loop, any other by a thread.

On PostgreSQL a commit needs the counter row of every stream in it. Other processes hold such a row for as long as a
commit takes; somebody else may hold it for long. So a stream whose row is not free at once is stored apart, by a thread
that waits for it, and its next requests with it. Meanwhile the other streams go on.

On several nodes each has its own commits, beside those of the others: one that fails, hangs or is slow is nobody
else's. Where there are none, all streams are of one place.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import structlog
from sqlalchemy import Connection

from app.domain.commands import StreamKey
from app.services import budget
from app.services.refusals import UnavailableError
from app.store.engine import DATABASE_ERRORS, Database, is_locked
from app.store.inbox import idempotency, messages
from app.store.inbox import log as inbox
from app.store.inbox.alone import MAX_BYTES, LoneAppend
from app.store.inbox.idempotency import KeyReusedError, Outcome
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, UnknownWorkspaceError

log = structlog.get_logger()

#: Requests of one stream of a workspace in one commit.
MAX_GROUP: Final = 256
#: Bytes of bodies after which a commit takes no further request. The last one may be as large as a body can be.
MAX_FLUSH_BYTES: Final = 16 * 1024 * 1024

#: How long the common commit waits for a counter row.
SHARED_LOCK_MS: Final = 50
#: Streams that wait for their counter rows at once; each has a thread and a connection.
MAX_APART: Final = 2
#: How long a stream is left alone whose counter row could not be had in time.
STUCK_SECONDS: Final = 1.0

Stored = Appended | Repeated
Waiter = tuple[Entry, asyncio.Future[Stored]]
#: Requests of one stream that are stored in one commit.
Group = tuple[StreamKey, list[Entry]]
#: Of one group of a flush: of each request, or what failed them all.
Result = list[Outcome] | BaseException


class InboxWriter:
    """Appends requests to the inbox; one per API process and event loop."""

    def __init__(
        self,
        database: Database,
        now_us: Callable[[], int],
        timeout: float,
        on_stored: Callable[[StreamKey], None],
        max_messages: int = 1_000_000,
        node_writers: int = 4,
    ) -> None:
        """`timeout` in seconds bounds a wait for a place. `on_stored` gets every stream that has new requests.

        `max_messages`: message ids that are remembered of an app. `node_writers`: nodes that are written to at once;
        each has a thread and a connection.
        """
        self._database = database
        self._now_us = now_us
        self._timeout = timeout
        self._on_stored = on_stored
        self._max_messages = max_messages
        self._pending: dict[StreamKey, list[Waiter]] = {}
        #: {node: what stores its streams now}
        self._runners: dict[int, asyncio.Task[None]] = {}
        #: Streams that are in a commit now.
        self._storing: set[StreamKey] = set()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        self._nodes = ThreadPoolExecutor(node_writers, thread_name_prefix="inbox of a node")
        self._waiting = ThreadPoolExecutor(MAX_APART, thread_name_prefix="inbox apart")
        #: Streams that are stored apart now.
        self._apart: dict[StreamKey, asyncio.Task[None]] = {}
        #: {stream: until when it is not tried again}
        self._stuck: dict[StreamKey, float] = {}
        #: Used while no flush is in the executor, which opens it.
        self._alone = LoneAppend(database, SHARED_LOCK_MS)
        #: Commits, and requests in them.
        self.flushes = 0
        self.requests = 0

    async def append(self, workspace_id: int, stream: int, entry: Entry) -> Stored:
        """Store a request, or find the first one with its idempotency key.

        Raises UnavailableError; then it may still be stored, as after any lost answer. Raises KeyReusedError.
        """
        key = StreamKey(workspace_id, stream)
        if self._is_stuck(key) or self._database.is_away(workspace_id):
            raise UnavailableError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored] = loop.create_future()
        # The future is the caller's alone: a client that goes away cancels its wait, never the flush.
        self._pending.setdefault(key, []).append((entry, future))
        self._store_pending(key)
        timer = loop.call_later(budget.left(self._timeout), _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _store_pending(self, key: StreamKey) -> None:
        """See to it that somebody stores what is pending of a stream."""
        node = self._database.node(key.workspace_id)
        if node not in self._runners:
            self._runners[node] = asyncio.get_running_loop().create_task(self._run(node))

    def _is_stuck(self, key: StreamKey) -> bool:
        """Whether the stream's counter row could not be had a moment ago: then nobody waits for it again so soon."""
        until = self._stuck.get(key)
        if until is not None and time.monotonic() >= until:
            self._stuck.pop(key, None)
        return until is not None and time.monotonic() < until

    async def first(self, workspace_id: int, key: IdempotencyKey) -> Repeated | None:
        """What the first request with this key and body got. Raises UnavailableError."""
        if self._database.is_away(workspace_id):
            raise UnavailableError
        try:
            async with asyncio.timeout(budget.left(self._timeout)):
                return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, workspace_id, key)
        except DATABASE_ERRORS as error:  # a timeout is an OSError
            raise UnavailableError from error

    async def aclose(self) -> None:
        """Store what is pending, then stop."""
        while self._runners or self._apart:
            await asyncio.wait([*self._apart.values(), *self._runners.values()])
        self._executor.shutdown(wait=True)
        self._nodes.shutdown(wait=True)
        self._waiting.shutdown(wait=True)
        self._alone.close()

    async def _run(self, node: int) -> None:
        loop = asyncio.get_running_loop()
        executor = self._nodes if node else self._executor
        try:
            while groups := self._take(node):
                self._storing.update(key for key, _ in groups)
                work = [(key, [entry for entry, _ in waiters]) for key, waiters in groups]
                results: list[Result]
                try:
                    if self._alone.is_open and len(work) == 1 and _is_plain(work[0][1]):
                        results = [await self._flush_alone(*work[0])]
                    else:
                        results = await loop.run_in_executor(executor, self._flush, work)
                except Exception as error:  # noqa: BLE001 - every waiter has to hear of it, whatever it was
                    results = [error] * len(groups)
                self._storing.difference_update(key for key, _ in groups)
                for (key, waiters), result in zip(groups, results, strict=True):
                    if isinstance(result, BaseException) and is_locked(result):
                        self._apart[key] = loop.create_task(self._store_apart(key, waiters))
                    else:
                        self._answer(key, waiters, result)
        finally:
            del self._runners[node]
            # Where a workspace lies may have become known meanwhile, and who stores its streams with it.
            for key in self._pending.keys() - self._apart.keys() - self._storing:
                self._store_pending(key)

    async def _store_apart(self, key: StreamKey, waiters: list[Waiter]) -> None:
        """Store requests of one stream, however long that waits for its row."""
        try:
            entries = [entry for entry, _ in waiters]
            result: Result
            try:
                result = await asyncio.get_running_loop().run_in_executor(self._waiting, self._wait, key, entries)
            except Exception as error:  # noqa: BLE001 - as above
                result = error
                if is_locked(error):
                    self._stuck[key] = time.monotonic() + STUCK_SECONDS
            self._answer(key, waiters, result)
        finally:
            del self._apart[key]
            if key in self._pending:
                self._store_pending(key)

    def _wait(self, key: StreamKey, entries: list[Entry]) -> list[Outcome]:
        with self._database.write(self._database.inbox) as connection:
            return self._append(connection, key, entries)

    def _take(self, node: int = 0) -> list[tuple[StreamKey, list[Waiter]]]:
        """The next commit: streams in the order in which they came, within MAX_GROUP and MAX_FLUSH_BYTES.

        What is stored apart is left out, so that the requests of a stream keep their order.

        What finds no room goes behind the others, so a stream with large bodies holds up nobody for longer than one.
        """
        groups: list[tuple[StreamKey, list[Waiter]]] = []
        room = MAX_FLUSH_BYTES
        for key in list(self._pending):
            if room <= 0:
                break
            if key in self._apart or key in self._storing or self._database.node(key.workspace_id) != node:
                continue
            waiters = [waiter for waiter in self._pending.pop(key) if not waiter[1].done()]
            taken = 0
            while taken < min(len(waiters), MAX_GROUP) and room > 0:
                room -= len(waiters[taken][0].body)
                taken += 1
            if taken:
                groups.append((key, waiters[:taken]))
            if waiters[taken:]:
                self._pending[key] = waiters[taken:]
        # One order for all processes, so that they cannot deadlock.
        return sorted(groups, key=lambda group: group[0])

    def _find(self, workspace_id: int, key: IdempotencyKey) -> Repeated | None:
        with self._database.read(self._database.inbox) as connection:
            return idempotency.find(connection, workspace_id, key)

    def _flush(self, work: list[Group]) -> list[Result]:
        """A commit for each node, where there are several: one that fails, or is slow, is nobody else's."""
        parts = self._database.by_node(work, lambda group: group[0].workspace_id)
        results: dict[StreamKey, Result] = {}
        for part in parts:
            away = self._database.is_away(part[0][0].workspace_id)
            found = [UnavailableError()] * len(part) if away else self._commit(part)
            results.update(zip((key for key, _ in part), found, strict=True))
        return [results[key] for key, _ in work]

    def _commit(self, work: list[Group]) -> list[Result]:
        if not work:
            return []
        try:
            if not self._alone.is_open:
                self._alone.open()  # for the next ones
            with self._database.write(self._database.inbox, lock_ms=SHARED_LOCK_MS) as connection:
                return [self._append(connection, key, entries) for key, entries in work]
        except UnknownWorkspaceError as error:
            if len(work) == 1:
                return [error]
        except DATABASE_ERRORS as error:
            if len(work) == 1 or not is_locked(error):
                return [error] * len(work)
        # One workspace that is gone, or whose row somebody holds, must not fail the others.
        return [result for group in work for result in self._commit([group])]

    def _append(self, connection: Connection, key: StreamKey, entries: list[Entry]) -> list[Outcome]:
        """Requests without keys and message ids, nearly all, do not pay for those that have some."""
        now_us = self._now_us()
        if any(entry.messages for entry in entries):
            entries = messages.mark(connection, *key, entries, now_us, self._max_messages)
        if any(entry.idempotency is not None for entry in entries):
            return idempotency.append(connection, *key, entries, now_us)
        return [*inbox.append(connection, *key, entries, now_us)]

    async def _flush_alone(self, key: StreamKey, entries: list[Entry]) -> Result:
        try:
            return [*await self._alone.append(*key, entries, self._now_us())]
        except (UnknownWorkspaceError, *DATABASE_ERRORS) as error:
            return error

    def _answer(self, key: StreamKey, waiters: list[Waiter], result: Result) -> None:
        self.flushes += 1
        if isinstance(result, BaseException):
            if not isinstance(result, (UnavailableError, UnknownWorkspaceError)):
                log.warning("append_failed", requests=len(waiters), error=type(result).__name__)
            for _, future in waiters:
                if not future.done():
                    error = UnavailableError()
                    error.__cause__ = result
                    future.set_exception(error)
            return
        self.requests += len(waiters)
        for (_, future), outcome in zip(waiters, result, strict=True):
            if future.done():
                continue
            if isinstance(outcome, KeyReusedError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        self._on_stored(key)


def _is_plain(entries: list[Entry]) -> bool:
    """Whether nothing of them has to be looked up, and they are not so large that sending them holds up the loop."""
    if any(entry.idempotency is not None or entry.messages for entry in entries):
        return False
    return sum(len(entry.body) for entry in entries) <= MAX_BYTES


def _give_up(future: asyncio.Future[Stored]) -> None:
    if not future.done():
        future.set_exception(UnavailableError())
