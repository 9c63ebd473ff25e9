"""Looks at unfinished jobs now and then, for metrics."""

import asyncio
from collections.abc import Mapping
from typing import Final

from app.services.calls import StoreCalls
from app.services.refusals import UnavailableError
from app.store import job_counts
from app.store.engine import Database
from app.store.job_counts import Standing

LOOK_SECONDS: Final = 5.0


class JobWatch:
    """One per API process and event loop."""

    def __init__(self, database: Database, calls: StoreCalls) -> None:
        self._database = database
        self._calls = calls
        self._task: asyncio.Task[None] | None = None
        #: {(kind, state): what stands there}, as of the last look.
        self.seen: Mapping[tuple[str, str], Standing] = {}

    def start(self) -> None:
        """Look from now on, until `aclose`."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def look(self) -> None:
        """One look. Raises UnavailableError when the database does not answer."""
        self.seen = await self._calls.run(self._read)

    def _read(self) -> Mapping[tuple[str, str], Standing]:
        with self._database.read() as connection:
            return job_counts.unfinished(connection)

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except UnavailableError:
                self.seen = {}  # what was seen last may be long over
            await asyncio.sleep(LOOK_SECONDS)
