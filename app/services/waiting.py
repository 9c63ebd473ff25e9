"""Waiting until accepted requests are applied: a look at heads and cursors, a doorbell, and more looks."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.services import budget
from app.services.calls import StoreCalls
from app.services.refusals import UnavailableError
from app.store.engine import Database
from app.store.inbox import backlog

_FIRST_PAUSE: Final = 0.004
_LAST_PAUSE: Final = 0.05
#: Where many wait, looks are so many times their own length apart.
PAUSES_PER_LOOK: Final = 4
MAX_LOOK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Heads and cursors of the two streams of a workspace at one instant."""

    heads: tuple[int, ...]
    cursors: tuple[int, ...]

    def reached(self, targets: Mapping[int, int]) -> bool:
        """Whether {stream: number} are all applied."""
        return all(self.cursors[stream] >= seq for stream, seq in targets.items())


class Waiting:
    """Looks at the progress of workspaces for those who wait for it: one look for all who wait for a workspace."""

    def __init__(self, database: Database, calls: StoreCalls, ring: Callable[[int], None]) -> None:
        """`ring` tells the workers that somebody waits for a workspace; it must return at once."""
        self._database = database
        self._calls = calls
        self._ring = ring
        #: {workspace: the look that begins next}, and who wait for it.
        self._next: dict[int, tuple[asyncio.Future[Progress], list[None]]] = {}
        self._looking: dict[int, asyncio.Task[None]] = {}
        #: Looks at the database.
        self.looks = 0

    async def progress(self, workspace_id: int) -> Progress:
        """The progress as of now: of a look that begins after the call. Raises UnavailableError."""
        found = self._next.get(workspace_id)
        if found is None:
            found = self._next[workspace_id] = (asyncio.get_running_loop().create_future(), [])
        look, waiting = found
        waiting.append(None)
        if workspace_id not in self._looking:
            self._looking[workspace_id] = asyncio.create_task(self._look_on(workspace_id))
        try:
            async with asyncio.timeout(budget.left(MAX_LOOK_SECONDS)):
                return await asyncio.shield(look)
        except TimeoutError as error:
            raise UnavailableError from error

    async def _look_on(self, workspace_id: int) -> None:
        """Look as long as somebody waits. A look serves all of them, so no request's budget bounds it."""
        with budget.answering(MAX_LOOK_SECONDS):
            budget.charge(workspace_id)
            try:
                while workspace_id in self._next:
                    look, waiting = self._next.pop(workspace_id)
                    began = time.monotonic()
                    self.looks += 1
                    try:
                        look.set_result(await self._calls.run(lambda: self._look(workspace_id)))
                    except Exception as error:  # noqa: BLE001 - whatever it was, those who wait have to hear of it
                        look.set_exception(error)
                        look.exception()  # they may be gone
                    if len(waiting) > 1:  # looking for a crowd takes a part of the time only
                        await asyncio.sleep(PAUSES_PER_LOOK * (time.monotonic() - began))
            finally:
                del self._looking[workspace_id]

    async def until(
        self, workspace_id: int, targets: Mapping[int, int], seconds: float, progress: Progress | None = None
    ) -> Progress:
        """Wait until {stream: number} are applied, for at most `seconds`. The last look says whether they are.

        `progress` is a look that was taken already. Raises RefusedError(503) when the database goes away.
        """
        deadline = time.monotonic() + seconds
        if progress is None:
            progress = await self.progress(workspace_id)
        pause = _FIRST_PAUSE
        while not progress.reached(targets):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            if pause == _FIRST_PAUSE:
                self._ring(workspace_id)
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, _LAST_PAUSE)
            progress = await self.progress(workspace_id)
        return progress

    def _look(self, workspace_id: int) -> Progress:
        found = backlog.waiting(self._database, workspace_id)
        return Progress(found.heads, found.cursors)
