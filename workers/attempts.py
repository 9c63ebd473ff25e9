"""Attempts at batches: counted before they are made, so that a request that kills its process is found and given up."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from app.domain.commands import StreamKey
from app.store import lane
from app.store.engine import DATABASE_ERRORS, Database, is_costly
from app.store.lane import Lane
from app.store.pooler import is_distributed
from workers.batches import Suspects

#: Attempts in a row after which a request that kills its process, alone, is given up. Processes are also killed for
#: other reasons, and no request may pay for that with its life.
ATTEMPTS_BEFORE_DEAD: Final = 8


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that was counted."""

    #: How many there were, of a request that is tried alone.
    attempts: int
    #: How many requests may be tried.
    limit: int
    #: The lane as it is.
    lane: Lane
    #: Somebody is suspected, or was begun: the requests are to be tried with nothing else in hand.
    careful: bool


class Attempts:
    """The attempts of one worker process. What it suspects is forgotten when the process ends; the counts stay."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._suspects = Suspects()

    def lock(self, connection: Connection, workspace_id: int) -> Lane | None:
        """The lane, for this transaction; None when another worker holds it."""
        # A crash may lose a suffix of applied batches together with their cursor; they are applied again.
        if is_distributed(connection):
            connection.execute(text("set local synchronous_commit = off"))
        return lane.lock(connection, workspace_id, lazily=not is_distributed(connection))

    def begin(self, key: StreamKey, most: int) -> "Begun | None":
        """Count an attempt before it is made, at `most` requests at most.

        None when another worker holds the lane, or has begun a request of the other stream since we looked.
        """
        if self._database.keeps_sessions and key not in self._suspects:
            with self._database.glance() as connection:
                begun = None if is_distributed(connection) else lane.begin(connection, *key, most)
            if begun is not None:
                return Begun(1, most, begun, careful=False)
        with self._database.write() as connection:
            locked = self.lock(connection, key.workspace_id)
            if locked is None:
                return None
            if locked.attempts > 0:  # a process died in the batch before
                self.suspect(StreamKey(key.workspace_id, locked.trial[0]), locked.trial[1])
            if locked.begun is not None:
                if locked.begun[0] != key.stream:
                    return None
                most = 1
            cursor = locked.cursors[key.stream]
            limit = self._suspects.limit(key, cursor, most)
            # Only attempts that a request makes alone are counted up.
            again = limit == 1 and locked.trial == (key.stream, cursor + 1)
            attempts = locked.attempts + 1 if again else 1
            lane.count_attempt(connection, key.workspace_id, locked.attempts, attempts, key.stream, cursor + limit)
            return Begun(attempts, limit, locked, limit < most or locked.attempts > 0 or locked.begun is not None)

    def suspect(self, key: StreamKey, last: int) -> None:
        """One of the requests behind the cursor, up to number `last`, cannot be applied."""
        self._suspects.suspect(key, last)

    def forget(self, workspace_id: int) -> None:
        """What was suspected of a workspace is another request now."""
        self._suspects.forget(workspace_id)

    def discount(self, workspace_id: int) -> None:
        """The process survived, so this attempt does not count: the machine failed, or one request is still being
        isolated."""
        with suppress(*DATABASE_ERRORS, MemoryError), self._database.write() as connection:
            lane.discount_attempt(connection, workspace_id)

    def is_caused(self, error: Exception, seconds: float, cpu: float) -> bool:
        """Whether a request may have caused a transient error: it takes too long, or too much memory. A connection that
        is lost, a lock that is not given, a full disk and a shutdown are nobody's fault."""
        patience = self._database.timeout_seconds
        return cpu >= patience or is_costly(error, seconds >= 0.9 * patience)
