"""Which external ids of a request are blocked, so that its client is told (spec track.md 4.2).

Nothing depends on it: whatever it lets through, the reducer drops with a reason (app.domain.spam). So it never holds up
or fails a request. A process remembers the blocked ids of a workspace for a second; one that is named in a request is
looked up before it is refused, so that nobody is refused whose block has ended.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from app.contract.kinds import DELETE, FLAGS, REMOVE
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.refusals import UnavailableError
from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.profiles import blocked

#: A block is seen by clients after at most this long.
SECONDS: Final = 1.0
#: Profiles of a workspace whose ids are remembered, the newest ones; what others send is dropped unsaid.
MOST: Final = 10_000
#: Ids that a process remembers, of all workspaces, with one for each workspace. It forgets all when there are more.
MOST_IN_ALL: Final = 100_000
#: What may end a block. While such a request is queued nobody is refused: what comes behind it may be welcome.
_ENDING: Final = (DELETE, REMOVE, FLAGS)


@dataclass(frozen=True, slots=True)
class _Known:
    ids: frozenset[str]
    until: float


class BlockList:
    """One per API process."""

    def __init__(self, database: Database, calls: StoreCalls, clock: Callable[[], float] = time.monotonic) -> None:
        """`calls` are few and short, and have a thread of their own."""
        self._database = database
        self._calls = calls
        self._clock = clock
        self._known: dict[int, _Known] = {}
        self._looking: dict[int, asyncio.Task[frozenset[str]]] = {}
        self._remembered = 0

    async def ids(self, caller: Caller) -> frozenset[str]:
        """External ids that were blocked a moment ago; those that were known before where the database is away."""
        now, workspace_id = self._clock(), caller.workspace_id
        known = self._known.get(workspace_id)
        if known is not None and now < known.until:
            return known.ids
        if known is not None:  # others do not wait for the same answer
            self._known[workspace_id] = replace(known, until=now + SECONDS)
        # Whoever comes meanwhile waits for the same look; a client that goes away does not end it.
        looking = self._looking.get(workspace_id)
        if looking is None:
            looking = self._looking[workspace_id] = asyncio.get_running_loop().create_task(self._look(workspace_id))
        return await asyncio.shield(looking)

    async def _look(self, workspace_id: int) -> frozenset[str]:
        known = self._known.get(workspace_id)
        try:
            found = await self._calls.run(lambda: self._read(workspace_id))
        except UnavailableError:
            return frozenset() if known is None else known.ids
        finally:
            del self._looking[workspace_id]
        self._remember(workspace_id, _Known(found, self._clock() + SECONDS))
        return found

    async def confirmed(self, caller: Caller, ids: frozenset[str]) -> frozenset[str]:
        """Those of the ids that are blocked now, and of which nothing that is queued can end the block."""
        try:
            return await self._calls.run(lambda: self._confirmed(caller.workspace_id, ids))
        except UnavailableError:
            return frozenset()

    def _read(self, workspace_id: int) -> frozenset[str]:
        with self._database.read() as connection:
            return blocked.external_ids(connection, workspace_id, MOST)

    def _confirmed(self, workspace_id: int, ids: frozenset[str]) -> frozenset[str]:
        with self._database.read() as connection:
            at = lane.read(connection, workspace_id)
        if at is None:
            return frozenset()
        with self._database.read(self._database.inbox) as connection:
            for kind in _ENDING:
                if inbox.has_kind(connection, workspace_id, kind, at.cursors[0], at.hours[0]):
                    return frozenset()
        with self._database.read() as connection:
            return blocked.among(connection, workspace_id, ids)

    def _remember(self, workspace_id: int, known: _Known) -> None:
        before = self._known.get(workspace_id)
        self._remembered += 1 + len(known.ids) - (1 + len(before.ids) if before is not None else 0)
        if self._remembered > MOST_IN_ALL:
            self._known.clear()
            self._remembered = 1 + len(known.ids)
        self._known[workspace_id] = known
