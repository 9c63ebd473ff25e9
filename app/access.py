"""Who is calling: from an Authorization header to a key of a workspace."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from hmac import compare_digest
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.contract.errors import INVALID_KEY, RefusedError, unavailable
from app.store import workspaces
from app.store.engine import Database
from app.store.workspaces import KeyRecord

__all__ = ["KeyRecord", "KeyRing"]

MAX_CACHED: Final = 10_000
_SCHEME: Final = "bearer "
_NOBODY: Final = b"\0" * 32


class KeyRing:
    """Finds keys, and remembers them for `cache_seconds`: that long a revoked key may still work in this process.

    While the database is away, a remembered key goes on working, so that an outage is answered 503 and not 401.
    """

    def __init__(
        self,
        database: Database,
        executor: Executor,
        cache_seconds: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._executor = executor
        self._cache_seconds = cache_seconds
        self._timeout = timeout
        self._clock = clock
        self._known: dict[str, tuple[float, KeyRecord]] = {}

    async def authenticate(self, authorization: str | None) -> KeyRecord:
        """The key of a caller. Raises RefusedError: 401 for anything but a live key, 503 when it cannot be known."""
        if authorization is None or authorization[:7].lower() != _SCHEME:
            raise RefusedError(401, INVALID_KEY)
        key = authorization[7:]
        identifier = workspaces.key_id(key)
        if identifier is None:
            raise RefusedError(401, INVALID_KEY)
        record = await self._find(identifier)
        # The same work for a known and an unknown id, so that the time tells nothing.
        matches = compare_digest(workspaces.digest(key), record.digest if record is not None else _NOBODY)
        if record is None or not matches:
            raise RefusedError(401, INVALID_KEY)
        return record

    async def _find(self, identifier: str) -> KeyRecord | None:
        known = self._known.get(identifier)
        if known is not None and known[0] > self._clock():
            return known[1]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                record = await loop.run_in_executor(self._executor, workspaces.find_key, self._database, identifier)
        except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
            if known is None:
                raise unavailable() from error
            # Not asked again for a while: every request would wait for the timeout.
            self._known[identifier] = (self._clock() + self._cache_seconds, known[1])
            return known[1]
        if record is None:
            self._known.pop(identifier, None)
            return None
        if len(self._known) >= MAX_CACHED:
            self._known.clear()
        self._known[identifier] = (self._clock() + self._cache_seconds, record)
        return record
