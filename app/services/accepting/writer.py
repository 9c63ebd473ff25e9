"""The coalescing writer: requests that arrive while a commit is in flight share the next one.

One commit costs a disk flush whatever it holds, so sixty-four simultaneous requests cost one flush and not sixty-four.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy import Connection

from app.domain.commands import StreamKey
from app.services import budget
from app.services.refusals import UnavailableError
from app.store.engine import DATABASE_ERRORS, Database, is_locked
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.idempotency import KeyReusedError, Outcome
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, UnknownWorkspaceError

#: Requests of one stream of a workspace in one commit.
MAX_GROUP: Final = 256
#: Bytes of bodies after which a commit takes no further request. The last one may be as large as a body can be.
MAX_FLUSH_BYTES: Final = 16 * 1024 * 1024

#: How long a stream is left alone whose counter row could not be had: each try costs the others a wait for the lock.
STUCK_SECONDS: Final = 1.0

Stored = Appended | Repeated
Waiter = tuple[Entry, asyncio.Future[Stored]]
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
    ) -> None:
        """`timeout` in seconds bounds a wait for a place. `on_stored` gets every stream that has new requests."""
        self._database = database
        self._now_us = now_us
        self._timeout = timeout
        self._on_stored = on_stored
        self._pending: dict[StreamKey, list[Waiter]] = {}
        self._runner: asyncio.Task[None] | None = None
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inbox")
        #: {stream: until when it is not tried again}
        self._stuck: dict[StreamKey, float] = {}
        #: Used by the one thread of the executor only.
        self._kept: Connection | None = None
        #: Commits, and requests in them.
        self.flushes = 0
        self.requests = 0

    async def append(self, workspace_id: int, stream: int, entry: Entry) -> Stored:
        """Store a request, or find the first one with its idempotency key.

        Raises UnavailableError; then it may still be stored, as after any lost answer. Raises KeyReusedError.
        """
        key = StreamKey(workspace_id, stream)
        if self._is_stuck(key):
            raise UnavailableError
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Stored] = loop.create_future()
        # The future is the caller's alone: a client that goes away cancels its wait, never the flush.
        self._pending.setdefault(key, []).append((entry, future))
        if self._runner is None:
            self._runner = loop.create_task(self._run())
        timer = loop.call_later(budget.left(self._timeout), _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _is_stuck(self, key: StreamKey) -> bool:
        """Whether the stream's counter row could not be had a moment ago: then nobody waits for it again so soon."""
        until = self._stuck.get(key)
        if until is not None and time.monotonic() >= until:
            self._stuck.pop(key, None)
        return until is not None and time.monotonic() < until

    async def first(self, workspace_id: int, key: IdempotencyKey) -> Repeated | None:
        """What the first request with this key and body got. Raises UnavailableError."""
        try:
            async with asyncio.timeout(budget.left(self._timeout)):
                return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, workspace_id, key)
        except DATABASE_ERRORS as error:  # a timeout is an OSError
            raise UnavailableError from error

    async def aclose(self) -> None:
        """Store what is pending, then stop."""
        if self._runner is not None:
            await self._runner
        self._executor.shutdown(wait=True)
        if self._kept is not None:
            self._kept.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                groups = self._take()
                work = [(key, [entry for entry, _ in waiters]) for key, waiters in groups]
                results: list[Result]
                try:
                    results = await loop.run_in_executor(self._executor, self._flush, work)
                except Exception as error:  # noqa: BLE001 - every waiter has to hear of it, whatever it was
                    results = [error] * len(groups)
                for (key, waiters), result in zip(groups, results, strict=True):
                    self._answer(key, waiters, result)
        finally:
            self._runner = None

    def _take(self) -> list[tuple[StreamKey, list[Waiter]]]:
        """The next commit: streams in the order in which they came, within MAX_GROUP and MAX_FLUSH_BYTES.

        What finds no room goes behind the others, so a stream with large bodies holds up nobody for longer than one.
        """
        groups: list[tuple[StreamKey, list[Waiter]]] = []
        room = MAX_FLUSH_BYTES
        for key in list(self._pending):
            if room <= 0:
                break
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

    def _flush(self, work: list[tuple[StreamKey, list[Entry]]]) -> list[Result]:
        if not work:
            return []
        try:
            if len(work) == 1 and self._database.is_postgresql and not _any_key(work[0][1]):
                return [self._flush_one(*work[0])]
            with self._database.write(self._database.inbox) as connection:
                return [_append(connection, key, entries, self._now_us()) for key, entries in work]
        except UnknownWorkspaceError as error:
            if len(work) == 1:
                return [error]
            # One workspace that is gone must not fail the others.
            return [result for group in work for result in self._flush([group])]
        except DATABASE_ERRORS as error:
            if not is_locked(error):
                return [error] * len(work)
            if len(work) == 1:
                self._stuck[work[0][0]] = time.monotonic() + STUCK_SECONDS
                return [error]
            # Somebody holds the counter row of one workspace, which must not fail the others.
            return [result for group in work for result in self._flush([group])]

    def _flush_one(self, key: StreamKey, entries: list[Entry]) -> list[Outcome]:
        """A flush for one stream of one workspace is a single statement, on a connection that is kept for it."""
        connection, self._kept = self._kept or self._database.statements(), None
        try:
            appended = inbox.append(connection, *key, entries, self._now_us())
        except UnknownWorkspaceError:
            self._kept = connection
            raise
        except BaseException:
            connection.invalidate()
            connection.close()
            raise
        self._kept = connection
        return [*appended]

    def _answer(self, key: StreamKey, waiters: list[Waiter], result: Result) -> None:
        self.flushes += 1
        if isinstance(result, BaseException):
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


def _any_key(entries: list[Entry]) -> bool:
    return any(entry.idempotency is not None for entry in entries)


def _append(connection: Connection, key: StreamKey, entries: list[Entry], now_us: int) -> list[Outcome]:
    """Requests without keys, nearly all, do not pay for those with one."""
    if _any_key(entries):
        return idempotency.append(connection, *key, entries, now_us)
    return [*inbox.append(connection, *key, entries, now_us)]


def _give_up(future: asyncio.Future[Stored]) -> None:
    if not future.done():
        future.set_exception(UnavailableError())
