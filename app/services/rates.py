"""Rates of a workspace: what is in force, fixed ones, and booking what had none when it came."""

from app.contract import rates as contract
from app.contract import stored
from app.contract.checked import Checked, commands_checked
from app.contract.rates import Rates
from app.domain.commands import STREAM_BULK, BookRevenue
from app.domain.settings import ApplySettings
from app.services.accepting.acceptor import Acceptor, IdempotencyKey
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.data_rules import Decided, settings_of
from app.services.synchronous import Synchronous
from app.store.engine import Database
from app.store.profiles import unbooked

#: Profiles of one request, so that a batch of other requests is never far behind it.
CHUNK = 500


class WorkspaceRates:
    """One per API process."""

    def __init__(self, database: Database, acceptor: Acceptor, synchronous: Synchronous, calls: StoreCalls) -> None:
        self._database = database
        self._acceptor = acceptor
        self._synchronous = synchronous
        self._calls = calls

    async def show(self, caller: Caller) -> ApplySettings:
        """The settings that are in force. Raises UnavailableError."""
        return await self._calls.run(lambda: settings_of(self._database, caller.workspace_id))

    async def change(self, caller: Caller, rates: Rates, key: IdempotencyKey | None = None) -> Decided:
        """Change fixed rates and wait until they are in force.

        Raises RefusedError for one too many; else as Synchronous.apply.
        """
        checked = await self._calls.run(lambda: change(self._database, caller, rates))
        outcome = await self._synchronous.apply(caller, checked, key)
        return Decided(outcome.request_id, await self.show(caller))

    async def book(self, caller: Caller, after: int) -> tuple[int, int | None]:
        """Queue the booking of a page of profiles on the bulk stream: (how many, where the next page begins).

        Raises as Acceptor.append.
        """
        requests, queued, last = await self._calls.run(lambda: bookings(self._database, caller, after))
        for checked in requests:
            await self._acceptor.append(caller, STREAM_BULK, checked, None)
        return queued, last


def change(database: Database, caller: Caller, rates: Rates) -> Checked:
    """The request that changes fixed rates. Raises RefusedError for one too many."""
    contract.check_bounds(rates, settings_of(database, caller.workspace_id))
    return stored.settings_change({"fixed_rates": rates})


def bookings(database: Database, caller: Caller, after: int) -> tuple[list[Checked], int, int | None]:
    """(requests that book a page of profiles, how many profiles, where the next page begins)."""
    with database.read() as connection:
        found, last = unbooked.page(connection, caller.workspace_id, after)
    commands = [BookRevenue(index, braze_id) for index, braze_id in enumerate(found)]
    chunks = [commands[n : n + CHUNK] for n in range(0, len(commands), CHUNK)]
    return [commands_checked(chunk, b"") for chunk in chunks], len(found), last
