"""Blocked profiles as operators see them: listed, and set free."""

from dataclasses import dataclass

from app.contract import flags
from app.contract.spam_blocks import Page
from app.services.accepting.acceptor import IdempotencyKey
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.reading import Reader, Seen
from app.services.refusals import UnknownProfileError
from app.services.synchronous import Synchronous
from app.store.engine import Database
from app.store.profiles import blocked
from app.store.profiles.blocked import Blocked

__all__ = ["Blocked", "Listed", "SpamBlocks", "listed"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of blocked profiles."""

    blocked: list[Blocked]
    more: bool


class SpamBlocks:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader, synchronous: Synchronous, calls: StoreCalls) -> None:
        self._database = database
        self._reader = reader
        self._synchronous = synchronous
        self._calls = calls

    async def listed(self, caller: Caller, page: Page) -> Seen[Listed]:
        """Blocked profiles, in the order of their creation. Raises UnavailableError."""
        return await self._reader.read(caller, lambda: listed(self._database, caller, page))

    async def lift(self, caller: Caller, braze_id: str, key: IdempotencyKey | None = None) -> str:
        """End the block of a profile, and wait until it is ended; the id of the request.

        Raises UnknownProfileError; else as Synchronous.apply.
        """
        outcome = await self._synchronous.apply(caller, flags.lift(braze_id), key)
        if outcome.problems:
            raise UnknownProfileError
        return outcome.request_id


def listed(database: Database, caller: Caller, page: Page) -> Listed:
    """As SpamBlocks.listed, of what is applied."""
    with database.read() as connection:
        found = blocked.page(connection, caller.workspace_id, page.after, page.limit + 1)
    return Listed(found[: page.limit], len(found) > page.limit)
