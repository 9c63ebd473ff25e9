"""Backpressure: a stream that is too far behind takes no more requests until it has caught up.

A task looks at all streams every `LOOK_SECONDS`, so that a request costs one look into a dict. What is accepted between
two looks may exceed a limit by as much.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.domain.commands import STREAM_BULK, StreamKey
from app.services.calls import StoreCalls
from app.services.refusals import BacklogFullError, UnavailableError
from app.store import lane
from app.store.engine import Database
from app.store.inbox import backlog
from app.store.inbox.backlog import Backlog

LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one stream of a workspace; 0 = none."""

    requests: int
    seconds: float
    bulk_seconds: float

    def exceeded(self, stream: int, waiting: Backlog, now_us: int) -> bool:
        """Whether a stream with this backlog takes no more."""
        seconds = self.bulk_seconds if stream == STREAM_BULK else self.seconds
        late = bool(seconds) and backlog.age_seconds(waiting, now_us) > seconds
        return late or 0 < self.requests < waiting.requests


class BacklogWatch:
    """Looks at the backlog; one per API process and event loop."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int], limits: Limits) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._limits = limits
        self._full: frozenset[StreamKey] = frozenset()
        self._task: asyncio.Task[None] | None = None
        #: As of the last look, for metrics.
        self.seen: Mapping[StreamKey, Backlog] = {}
        #: Since when the same request has been the first that waits, as far as looks tell.
        self.standing_us: Mapping[StreamKey, int] = {}
        #: Attempts of a first request that fails alone, again and again.
        self.failing: Mapping[StreamKey, int] = {}
        self.refused = 0

    def check(self, workspace_id: int, stream: int) -> None:
        """Raises BacklogFullError when the stream takes no more."""
        if (workspace_id, stream) in self._full:
            self.refused += 1
            raise BacklogFullError

    def start(self) -> None:
        """Look from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def look(self) -> None:
        """One look. Raises UnavailableError when the database does not answer."""
        before = self.seen
        self.seen, self.failing = await self._calls.run(self._read)
        now_us = self._now_us()
        self.standing_us = {
            key: self.standing_us.get(key, now_us)
            for key, waiting in self.seen.items()
            if key in before and before[key].oldest_us == waiting.oldest_us
        }
        self._full = frozenset(
            key for key, waiting in self.seen.items() if self._limits.exceeded(key.stream, waiting, now_us)
        )

    def _read(self) -> tuple[dict[StreamKey, Backlog], dict[StreamKey, int]]:
        waiting = backlog.read(self._database, self._now_us())
        if not waiting:
            return waiting, {}
        with self._database.read() as connection:
            return waiting, lane.failing(connection)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except UnavailableError:
                # Nothing can be stored either while the database is away. What was seen last may be long over.
                self._full = frozenset()
            await asyncio.sleep(LOOK_SECONDS)
