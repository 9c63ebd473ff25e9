"""The canary: a request of our own that goes the way of all others, every so often, and is timed until it is applied.

It lives in a workspace that Onefold makes for itself and lists nowhere, with one profile whose counter it raises.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from app.contract import track
from app.domain.commands import STREAM_NORMAL
from app.services.accepting.writer import InboxWriter
from app.services.calls import StoreCalls
from app.services.refusals import ServiceError
from app.services.waiting import Waiting
from app.store import workspaces
from app.store.engine import Database
from app.store.inbox.log import Entry

log = structlog.get_logger()

_BODY: Final = b'{"attributes":[{"external_id":"canary","beats":{"inc":1}}]}'
_PAUSE_SECONDS: Final = 0.02


class Canary:
    """One per API process and event loop."""

    def __init__(
        self,
        database: Database,
        writer: InboxWriter,
        waiting: Waiting,
        calls: StoreCalls,
        now_us: Callable[[], int],
        interval: float,
    ) -> None:
        """`interval` in seconds, from one beat to the next and to the first; it also bounds the wait for one."""
        self._database = database
        self._writer = writer
        self._waiting = waiting
        self._calls = calls
        self._now_us = now_us
        self._interval = interval
        self._task: asyncio.Task[None] | None = None
        #: applied, late (not within the interval), failed (not accepted).
        self.results: Counter[str] = Counter()
        #: From accept to applied, of the last beat that was applied, and when that was.
        self.seconds = 0.0
        self.applied_us = 0

    def start(self) -> None:
        """Beat from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def beat(self) -> str:
        """One request: what became of it."""
        result = await self._beat()
        self.results[result] += 1
        if result != "applied":
            log.warning("canary", result=result)
        return result

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.beat()

    async def _beat(self) -> str:
        began = time.monotonic()
        checked = track.check(_BODY, track.Limits(None, None))
        try:
            workspace_id = await self._calls.run(lambda: workspaces.canary(self._database, self._now_us()))
            entry = Entry(checked.kind, checked.codec, checked.body)
            place = await self._writer.append(workspace_id, STREAM_NORMAL, entry)
        except ServiceError:
            return "failed"
        # The canary rings no bell of its own: it shows whether the ordinary one works.
        while time.monotonic() - began < self._interval:
            try:
                progress = await self._waiting.progress(workspace_id)
            except ServiceError:
                return "failed"
            if progress.reached({STREAM_NORMAL: place.seq}):
                self.seconds, self.applied_us = time.monotonic() - began, self._now_us()
                return "applied"
            await asyncio.sleep(_PAUSE_SECONDS)
        return "late"
