"""How far a workspace is: what was accepted of each stream, what is applied, and how long the rest has waited."""

from collections.abc import Callable
from dataclasses import dataclass

from app.domain.commands import STREAM_NAMES
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox


@dataclass(frozen=True, slots=True)
class LaneNow:
    """One stream of a workspace."""

    #: As in app.domain.commands.STREAM_NAMES.
    name: str
    #: Requests since the workspace was made.
    accepted: int
    applied: int
    #: How long the oldest that is not applied has waited.
    oldest_seconds: float

    @property
    def queued(self) -> int:
        return self.accepted - self.applied


class Lanes:
    """One per process that serves people."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int]) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us

    async def now(self, caller: Caller) -> list[LaneNow]:
        """Each stream of the workspace. Raises UnavailableError."""
        return await self._calls.run(lambda: now(self._database, caller, self._now_us()))


def now(database: Database, caller: Caller, now_us: int) -> list[LaneNow]:
    """Each stream of the workspace.

    Cursors come first: a request that is accepted in between counts as queued, one that is applied never does.
    """
    with database.read() as connection:
        found = lane.read(connection, caller.workspace_id)
    streams = []
    with database.read(database.inbox) as connection:
        for stream, name in enumerate(STREAM_NAMES):
            applied = 0 if found is None else found.cursors[stream]
            accepted = max(applied, inbox.head(connection, caller.workspace_id, stream))
            oldest_us = None
            if accepted > applied:
                oldest_us = inbox.accepted_us(connection, caller.workspace_id, stream, applied + 1)
            seconds = 0.0 if oldest_us is None else max(0, now_us - oldest_us) / 1_000_000
            streams.append(LaneNow(name, accepted, applied, seconds))
    return streams
