"""What accounts of the console did: nothing is done that was not written down before."""

from collections.abc import Callable
from typing import Final

from app.quota.bucket import Bucket
from app.quota.local import LocalBuckets
from app.services.calls import StoreCalls
from app.services.networks import Address
from app.services.refusals import TooFrequentError
from app.store import acts as store
from app.store.acts import Act
from app.store.engine import Database

__all__ = ["Act", "Acts"]

#: Acts of one account: nobody pushes what was done out of the log by doing much.
_PER_MINUTE: Final = Bucket("acts", 60, 60_000)
#: Characters that are kept of what an act was done to.
LONGEST_TARGET: Final = 300


class Acts:
    """One per process that serves the console."""

    def __init__(self, database: Database, calls: StoreCalls, now_us: Callable[[], int]) -> None:
        self._database = database
        self._calls = calls
        self._now_us = now_us
        self._counts = LocalBuckets()

    async def begin(self, account: str, workspace_id: int, act: str, client: Address | None) -> int:
        """Write an act down; its number. `workspace_id` 0: it is of the installation. Raises UnavailableError, and
        TooFrequentError for an account that does too much."""
        refusal = self._counts.spend(account, _PER_MINUTE, self._now_us() // 1_000)
        if refusal is not None:
            raise TooFrequentError(refusal)
        us, address = self._now_us(), "" if client is None else str(client)
        return await self._calls.run(lambda: store.begin(self._database, us, account, workspace_id, act, address))

    async def finish(self, number: int, status: int, target: str) -> None:
        """Say what came of it. `target` holds no value of people. Raises UnavailableError."""
        kept = target[:LONGEST_TARGET].replace("\0", "")
        await self._calls.run(lambda: store.finish(self._database, number, status, kept))

    async def listed(self, workspace_id: int | None, before: int | None, most: int) -> list[Act]:
        """The newest first, from before a number on; None: of the whole installation. Raises UnavailableError."""
        return await self._calls.run(lambda: store.listed(self._database, workspace_id, before, most))
