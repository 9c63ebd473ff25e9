"""Usage of the API: every answer counted by minute, key, endpoint and status, and shown.

Counting adds to a number in memory. The numbers go to the database every few seconds, all in one transaction that no
request waits for; a process that is killed loses those of these seconds. While the database is away they are kept, up
to a bound.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from app.domain.times import MINUTE
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import UnavailableError
from app.store import api_usage as store
from app.store.api_usage import NO_WORKSPACE, Place, Sum
from app.store.engine import DATABASE_ERRORS, Database

__all__ = ["ApiUsage", "Sum", "UsageCounter", "UsageFilter", "minutes", "sums"]

SECONDS: Final = 5.0
#: Numbers in memory at once. What is beyond is counted as lost.
MAX_WAITING: Final = 50_000


class UsageCounter:
    """One per API process and event loop."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int]) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._waiting: dict[Place, int] = {}
        self._task: asyncio.Task[None] | None = None
        #: Answers that were not counted, since too many numbers waited for the database.
        self.lost = 0

    def count(self, caller: Caller | None, endpoint: str, status: int) -> None:
        """Count an answer. `caller` None: no live key was sent. Of a workspace that is being deleted nothing counts."""
        if caller is None:
            place = Place(NO_WORKSPACE, self._now_us() // MINUTE, "", endpoint, status)
        elif caller.deleted:
            return
        else:
            place = Place(caller.workspace_id, self._now_us() // MINUTE, caller.key_id, endpoint, status)
        waiting = self._waiting
        if place in waiting:
            waiting[place] += 1
        elif len(waiting) < MAX_WAITING:
            waiting[place] = 1
        else:
            self.lost += 1

    def start(self) -> None:
        """Store what is counted from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        """Stop, and store the rest."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.flush()

    async def flush(self) -> None:
        """Store what was counted. While the database is away it waits for the next time.

        A commit whose answer was lost is counted again: numbers may be too high after an outage, never too low.
        """
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        with suppress(UnavailableError):
            await self._calls.run(lambda: self._add(waiting))
        if waiting:
            self._keep(dict(waiting))

    def _add(self, waiting: dict[Place, int]) -> None:
        """Take away what is stored: a node that is away, or that hangs, keeps back its own workspaces alone."""
        for part in self._database.by_node(waiting.items(), lambda item: item[0].workspace_id):
            if self._database.is_away(part[0][0].workspace_id):
                continue
            with suppress(*DATABASE_ERRORS):
                store.add(self._database, dict(part))
                for place, _ in part:
                    del waiting[place]

    def _keep(self, waiting: dict[Place, int]) -> None:
        """Put back what was not stored, before what was counted meanwhile."""
        counted, self._waiting = self._waiting, waiting
        for place, count in counted.items():
            if place in waiting:
                waiting[place] += count
            elif len(waiting) < MAX_WAITING:
                waiting[place] = count
            else:
                self.lost += count

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SECONDS)
            await self.flush()


@dataclass(frozen=True, slots=True)
class UsageFilter:
    """Which answers: from one minute to another (since 1970, both included), of one key and endpoint, or of all."""

    first: int
    last: int
    key_id: str | None = None
    endpoint: str | None = None


class ApiUsage:
    """What was counted, for front doors; one per API process."""

    def __init__(self, database: Database, calls: StoreCalls) -> None:
        self._database = database
        self._calls = calls

    async def sums(self, caller: Caller, wanted: UsageFilter, limit: int = 10_000) -> list[Sum]:
        """Sums by key, endpoint and status, the largest first. Raises UnavailableError."""
        return await self._calls.run(lambda: sums(self._database, caller, wanted, limit))

    async def minutes(self, caller: Caller, wanted: UsageFilter) -> list[tuple[int, int, int]]:
        """(minute, status, count) in the order of time. Raises UnavailableError."""
        return await self._calls.run(lambda: minutes(self._database, caller, wanted))


def sums(database: Database, caller: Caller, wanted: UsageFilter, limit: int = 10_000) -> list[Sum]:
    """Sums of the caller's workspace by key, endpoint and status, the largest first."""
    with database.read() as connection:
        return store.sums(
            connection,
            caller.workspace_id,
            wanted.first,
            wanted.last,
            key_id=wanted.key_id,
            endpoint=wanted.endpoint,
            limit=limit,
        )


def minutes(database: Database, caller: Caller, wanted: UsageFilter) -> list[tuple[int, int, int]]:
    """(minute, status, count) of the caller's workspace in the order of time; minutes without any are left out."""
    with database.read() as connection:
        return store.minutes(
            connection, caller.workspace_id, wanted.first, wanted.last, key_id=wanted.key_id, endpoint=wanted.endpoint
        )
