"""What became of an accepted request."""

from dataclasses import dataclass

from app.services.caller import Caller
from app.services.refusals import UnknownRequestError
from app.services.synchronous import Problems
from app.store import dead_letters, lane, request_problems
from app.store.dead_letters import Letter
from app.store.engine import Database
from app.store.inbox import log as inbox


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Where a request stands."""

    stream: int
    seq: int
    #: None: longer ago than the inbox goes back.
    accepted_us: int | None
    applied: bool
    #: What had no effect.
    skipped: Problems
    #: What is kept of it where it could not be applied.
    letter: Letter | None

    @property
    def status(self) -> str:
        """One word: queued, applied or dead."""
        if not self.applied:
            return "queued"
        return "applied" if self.letter is None else "dead"


def place_of(caller: Caller, identifier: str) -> tuple[int, int]:
    """(stream, number). Raises UnknownRequestError for an id that the workspace was never given."""
    place = caller.place(identifier)
    if place is None:
        raise UnknownRequestError
    return place


def status(database: Database, caller: Caller, stream: int, seq: int) -> RequestStatus:
    """Where a request of the workspace stands."""
    workspace_id = caller.workspace_id
    with database.read(database.inbox) as connection:
        accepted_us = inbox.accepted_us(connection, workspace_id, stream, seq)
    with database.read() as connection:
        found = lane.read(connection, workspace_id)
        applied = found is not None and found.cursors[stream] >= seq
        skipped = request_problems.read(connection, workspace_id, stream, seq) if applied else []
        letter = dead_letters.get(connection, workspace_id, stream, seq) if applied else None
    return RequestStatus(stream, seq, accepted_us, applied, skipped, letter)
