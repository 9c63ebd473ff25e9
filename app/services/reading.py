"""Reading behind what was accepted: the wait that every answer about profiles begins with, and the status of requests.

A read waits until the cursor has passed what was accepted before it, so that a client sees its own writes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from app.domain.commands import STREAM_NORMAL, STREAMS
from app.services import budget, requests
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import UnknownRequestError
from app.services.requests import RequestStatus
from app.services.waiting import Waiting
from app.store.engine import Database

MAX_WAIT_SECONDS: Final = 30.0
#: What is kept of a request's budget for reading once the wait is over.
READ_SECONDS: Final = 0.5


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[_T]):
    """What was read, and when."""

    value: _T
    #: Some of what was accepted before is not in it yet.
    stale: bool
    now_us: int


class Reader:
    """Reads for the API, in threads: the store's calls block."""

    def __init__(
        self,
        database: Database,
        waiting: Waiting,
        calls: StoreCalls,
        now_us: Callable[[], int],
        wait_seconds: float,
    ) -> None:
        """`wait_seconds` bounds the wait for queued writes."""
        self.now_us = now_us
        self._database = database
        self._waiting = waiting
        self._calls = calls
        self._wait_seconds = wait_seconds

    async def request_status(self, caller: Caller, identifier: str, wait: float) -> RequestStatus:
        """Where a request stands, after at most `wait` seconds, in which it may be applied.

        Raises UnknownRequestError for an id that this workspace was never given, UnavailableError.
        """
        stream, seq = requests.place_of(caller, identifier)
        progress = await self._waiting.progress(caller.workspace_id)
        if stream not in STREAMS or not 0 < seq <= progress.heads[stream]:
            raise UnknownRequestError
        wait = min(wait, MAX_WAIT_SECONDS)
        budget.extend(wait)
        await self._waiting.until(caller.workspace_id, {stream: seq}, wait, progress)
        return await self._calls.run(partial(requests.status, self._database, caller, stream, seq))

    async def read(self, caller: Caller, work: Callable[[], _T]) -> Seen[_T]:
        """What there is once everything accepted so far is applied, or as much of it as could be waited for."""
        stale = await self.catch_up(caller.workspace_id)
        return Seen(await self._calls.run(work), stale, self.now_us())

    async def catch_up(self, workspace_id: int) -> bool:
        """Wait for everything accepted so far. True when some of it is still not applied.

        A backfill on the bulk stream may take hours: nobody waits for it, but the answer says that it is not done.
        """
        progress = await self._waiting.progress(workspace_id)
        heads = progress.heads
        wanted = {STREAM_NORMAL: heads[STREAM_NORMAL]}
        seconds = min(self._wait_seconds, budget.left(math.inf) - READ_SECONDS)
        progress = await self._waiting.until(workspace_id, wanted, seconds, progress)
        return any(cursor < head for cursor, head in zip(progress.cursors, heads, strict=True))
