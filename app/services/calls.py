"""Calls that block, from the event loop: in threads, within the budget of their request, shared out by workspace."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import structlog

from app.services import budget
from app.services.refusals import UnavailableError
from app.services.shares import Shares
from app.store.engine import DATABASE_ERRORS
from app.store.interruption import Interruption

log = structlog.get_logger()

_T = TypeVar("_T")
_Turn = asyncio.Future[None]


class Threads:
    """A few threads. A workspace gets at most half of those that the others leave; who waits gets a turn in rotation.

    What nobody waits for any longer is dropped from the queue, or interrupted; its thread counts until it is free.
    """

    def __init__(self, name: str, threads: int, most: int | None = None) -> None:
        """`most` bounds what one workspace has at once further. Call inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        # A thread for each call that may have to be ended: the database may not answer the cancellation either.
        self._interrupting = ThreadPoolExecutor(threads, thread_name_prefix=f"{name} interrupting")
        self._shares = Shares(threads, most)
        #: {workspace: who waits for a thread}, in the order of their turns. None is what we do for ourselves.
        self._waiting: dict[int | None, deque[_Turn]] = {}

    async def run(self, work: Callable[[], _T], most: float) -> _T:
        """The result. Raises TimeoutError when it takes longer than `most` in seconds, or than the budget is."""
        workspace_id = budget.workspace()
        async with asyncio.timeout(budget.left(most)):
            await self._turn(workspace_id)
            call = Interruption()
            try:
                future = self._executor.submit(call.run, work)
            except BaseException:
                self._leave(workspace_id)
                raise
            future.add_done_callback(lambda _: self._free(workspace_id))
            try:
                return await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                self._abandon(future, call)
                raise

    async def aclose(self) -> None:
        """Wait for the calls in hand."""
        await self._loop.run_in_executor(None, self._executor.shutdown)
        self._interrupting.shutdown(wait=False)

    async def _turn(self, workspace_id: int | None) -> None:
        """Wait for a thread, which then is this workspace's."""
        if workspace_id not in self._waiting and self._shares.take(workspace_id):
            return
        turn: _Turn = self._loop.create_future()
        self._waiting.setdefault(workspace_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it came at the same moment
                self._leave(workspace_id)
            raise

    def _free(self, workspace_id: int | None) -> None:
        """Called by the thread that is free now."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._leave, workspace_id)

    def _leave(self, workspace_id: int | None) -> None:
        self._shares.give(workspace_id)
        for waiting in list(self._waiting):
            turns = self._waiting[waiting]
            while turns and turns[0].done():
                turns.popleft()
            if turns and self._shares.take(waiting):
                turns.popleft().set_result(None)
                self._waiting[waiting] = self._waiting.pop(waiting)  # behind the others
            if not turns:
                del self._waiting[waiting]

    def _abandon(self, future: "Future[_T]", call: Interruption) -> None:
        if not future.done():
            self._interrupting.submit(call.interrupt)


class StoreCalls:
    """Runs calls of the store; one per API process."""

    def __init__(self, threads: Threads, timeout: float, is_away: Callable[[int], bool] = lambda _: False) -> None:
        """`timeout` in seconds bounds one call, and so does what is left of the request's budget.

        `is_away`: whether a workspace cannot be reached. Then nobody waits for it.
        """
        self._threads = threads
        self._timeout = timeout
        self._is_away = is_away

    @property
    def seconds(self) -> float:
        """What bounds one call."""
        return self._timeout

    async def run(self, work: Callable[[], _T]) -> _T:
        """The result of a call. Raises UnavailableError when the database fails or takes too long."""
        workspace_id = budget.workspace()
        if workspace_id is not None and self._is_away(workspace_id):
            raise UnavailableError
        try:
            return await self._threads.run(work, self._timeout)
        except DATABASE_ERRORS as error:  # a timeout is an OSError
            log.warning("store_call_failed", error=type(error).__name__)
            raise UnavailableError from error


@asynccontextmanager
async def direct_calls() -> AsyncIterator[StoreCalls]:
    """Calls of the store for a command, which nobody waits for in vain: one at a time, and each may take a minute."""
    threads = Threads("store", 1)
    try:
        yield StoreCalls(threads, 60.0)
    finally:
        await threads.aclose()
