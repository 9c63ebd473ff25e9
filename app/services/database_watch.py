"""Looks now and then at what PostgreSQL says of standbys, and whether the database was put back, for metrics."""

import asyncio
from dataclasses import dataclass
from typing import Final

from app.adapters.remembered import RememberedNumbers
from app.services.calls import StoreCalls
from app.services.refusals import UnavailableError
from app.store import origin, standbys
from app.store.engine import Database
from app.store.origin import Doubt
from app.store.standbys import Standbys

LOOK_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found."""

    doubt: Doubt | None
    standbys: Standbys


class DatabaseWatch:
    """One per API process and event loop."""

    def __init__(self, database: Database, calls: StoreCalls, remembered: RememberedNumbers, wanted: int) -> None:
        """`wanted`: standbys that commits are to wait for, at least."""
        self._database = database
        self._calls = calls
        self._remembered = remembered
        self._wanted = wanted
        self._task: asyncio.Task[None] | None = None
        #: As of the last look; None = the database did not answer.
        self.seen: Seen | None = None

    @property
    def wanted(self) -> int:
        """How many standbys should have what is answered for."""
        return max(self._wanted, self.seen.standbys.asked if self.seen is not None else 0)

    def start(self) -> None:
        """Look from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._remembered.close()

    async def look(self) -> None:
        """One look. Raises UnavailableError when the database does not answer."""
        self.seen = await self._calls.run(self._read)

    def _read(self) -> Seen:
        with self._database.read() as connection:
            found = origin.read(connection)
        doubt = None
        if found is not None:  # the sweeper compares the numbers; here is only asked what came of it
            doubt = Doubt.BACK if self._remembered.is_back(found.key) else found.doubt
        return Seen(doubt, standbys.read(self._database))

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except UnavailableError:
                self.seen = None  # what was seen last may be long over
            await asyncio.sleep(LOOK_SECONDS)
