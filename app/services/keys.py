"""Who is calling and whether they may: from an Authorization header to a key of a workspace (spec api-keys.md)."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.quota.bucket import Bucket, Grant
from app.quota.local import LocalBuckets
from app.services import budget
from app.services.caller import Caller
from app.services.networks import Address, contains, origin
from app.services.permissions import allows
from app.services.refusals import (
    AccessDeniedError,
    InvalidKeyError,
    ServiceError,
    TooManyFailuresError,
    UnavailableError,
    WorkspaceClosedError,
    WorkspaceDeletedError,
)
from app.store import keys, workspaces
from app.store.engine import Database

__all__ = ["Address", "KeyRing"]

log = structlog.get_logger()

MAX_CACHED: Final = 10_000
#: How old the list of live keys may be that is asked beside a flood.
LIVE_IDS_SECONDS: Final = 5.0
#: The use of a key is recorded at most this often, so that requests cost no write.
SEEN_EVERY_US: Final = 60_000_000
_SCHEME: Final = "bearer "
_NOBODY: Final = b"\0" * 32

From = Callable[[], Address | None]
"""Finds the address of a client, which most requests do not need."""


class _Away:
    """The database did not answer, so nothing is known about a key."""


_AWAY: Final = _Away()


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as it was looked up: good until `until`, and asked for again in the background from `refresh` on."""

    caller: Caller
    refresh: float
    until: float


class KeyRing:
    """Finds keys, and remembers them for `cache_seconds`: that long a change or a revocation may take to be seen here.

    A key in use is looked up again when half of that is over, while requests go on with what is known. While the
    database is away, a remembered key goes on working, so that an outage is answered 503 and not 401.

    `lookups` counts questions to the database, `failures` requests without a valid key, `floods` those of them that
    were answered 429.
    """

    def __init__(
        self,
        database: Database,
        executor: Executor,
        cache_seconds: float,
        timeout: float,
        now_us: Callable[[], int],
        failures_per_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`failures_per_minute` bounds requests without a valid key by address of the client; 0 = no bound."""
        self._database = database
        self._executor = executor
        self._cache_seconds = cache_seconds
        self._timeout = timeout
        self._now_us = now_us
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[Caller | _Away | None]] = {}
        self._legacy: tuple[float, bool] = (float("-inf"), False)
        self._failing = LocalBuckets()
        self._ids: tuple[float, frozenset[str]] = (float("-inf"), frozenset())
        self._reading_ids = asyncio.Lock()
        #: Counts calls of `forget`.
        self._changes = 0
        self._bound = (Bucket("address", failures_per_minute, 60_000),) if failures_per_minute else ()
        self.lookups = self.failures = self.floods = 0

    async def authenticate(self, authorization: str | None, client: From, *, legacy: bool = False) -> Caller:
        """The key of a caller. `legacy`: it did not come in the header, which its workspace has to allow.

        Raises InvalidKeyError for anything but a live key, TooManyFailuresError for too many of these from one address,
        UnavailableError when it cannot be known.
        """
        if authorization is None or authorization[:7].lower() != _SCHEME:
            raise self._failed(client)
        key = authorization[7:]
        key_id = keys.public_id(key)
        if key_id is None:
            raise self._failed(client)
        caller = await self._find(key_id, client)
        # The same work for a known and an unknown id, so that the time tells nothing.
        matches = compare_digest(keys.digest(key), caller.digest if caller is not None else _NOBODY)
        if caller is None or not matches or (legacy and not caller.legacy_api_key_auth):
            raise self._failed(client)
        if caller.expires_us is not None and caller.expires_us <= self._now_us():
            raise self._failed(client)
        return caller

    def admit(self, caller: Caller, permission: str | None, client: From) -> None:
        """Let a caller through, or raise WorkspaceDeletedError, WorkspaceClosedError or AccessDeniedError.

        `permission` None: any live key of the workspace.
        """
        if caller.deleted:
            raise WorkspaceDeletedError
        if caller.disabled:
            raise WorkspaceClosedError
        if permission is not None and not allows(caller.permissions, permission):
            raise AccessDeniedError
        if caller.ip_allowlist:
            address = client()
            if address is None or not contains(caller.networks, address):
                raise AccessDeniedError

    async def takes_legacy(self, client: From) -> bool:
        """Whether a key in a body or a query string may be valid at all: some workspace allows it.

        Raises TooManyFailuresError, so that a flood of bodies is not read to find no key in them.
        """
        self._refuse_flood(client)
        (until, found), changes = self._legacy, self._changes
        if self._clock() >= until:
            try:
                async with asyncio.timeout(budget.left(self._timeout)):
                    loop = asyncio.get_running_loop()
                    found = await loop.run_in_executor(self._executor, workspaces.any_legacy, self._database)
            except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
                raise UnavailableError from error
            if changes == self._changes:
                self._legacy = (self._clock() + self._cache_seconds, found)
        return found

    def refuse_flood(self, client: From) -> None:
        """Raise TooManyFailuresError for an address that has sent too much of what is no key."""
        self._refuse_flood(client)

    def count_failure(self, client: From) -> None:
        """Count what was sent instead of a key, such as the guessed address of a file."""
        self._failed(client)

    def forget(self, workspace_id: int) -> None:
        """Look the keys of a workspace up again: something about it was changed here."""
        for key_id in [i for i, known in self._known.items() if known.caller.workspace_id == workspace_id]:
            del self._known[key_id]
        self._ids = (float("-inf"), frozenset())
        self._legacy = (float("-inf"), self._legacy[1])
        # What is being looked up may be from before the change.
        self._asking = {}
        self._changes += 1

    async def _find(self, key_id: str, client: From) -> Caller | None:
        known, now = self._known.get(key_id), self._clock()
        if known is not None and now < known.until:
            if now >= known.refresh and key_id not in self._asking:
                self._ask(key_id)
            return known.caller
        if known is None and self._is_flooding(client) and key_id not in await self._live_ids():
            self._refuse_flood(client)
        # Whoever comes meanwhile waits for the same look-up; a client that goes away does not end it.
        found = await asyncio.shield(self._asking.get(key_id) or self._ask(key_id))
        if isinstance(found, _Away):
            raise UnavailableError
        return found

    async def _live_ids(self) -> frozenset[str]:
        """The ids of all live keys, at most LIVE_IDS_SECONDS old. Beside a flood of made-up keys they tell a real one.

        Raises UnavailableError.
        """
        until, ids = self._ids
        if self._clock() >= until:
            async with self._reading_ids:
                (until, ids), changes = self._ids, self._changes
                if self._clock() >= until:
                    try:
                        async with asyncio.timeout(budget.left(self._timeout)):
                            loop = asyncio.get_running_loop()
                            ids = await loop.run_in_executor(self._executor, keys.live_ids, self._database)
                    except (SQLAlchemyError, OSError) as error:  # a timeout is an OSError
                        raise UnavailableError from error
                    if changes == self._changes:
                        self._ids = (self._clock() + LIVE_IDS_SECONDS, ids)
        return ids

    def _ask(self, key_id: str) -> "asyncio.Task[Caller | _Away | None]":
        task = self._asking[key_id] = asyncio.get_running_loop().create_task(self._answer(key_id))
        return task

    async def _answer(self, key_id: str) -> Caller | _Away | None:
        try:
            return await self._look_up(key_id)
        finally:
            # Removed before the look-up ends, so that nobody takes the answer of an old one.
            if self._asking.get(key_id) is asyncio.current_task():
                del self._asking[key_id]

    async def _look_up(self, key_id: str) -> Caller | _Away | None:
        loop, asked, changes = asyncio.get_running_loop(), self._clock(), self._changes
        self.lookups += 1
        known = self._known.get(key_id)
        try:
            # A caller that is known leaves the rest of its budget to the request.
            most = self._timeout if known is None else self._timeout / 2
            async with asyncio.timeout(budget.left(most)):
                record = await loop.run_in_executor(self._executor, keys.find, self._database, key_id)
        except (SQLAlchemyError, OSError):  # a timeout is an OSError
            if known is None:
                return _AWAY
            # Not asked again for a while: every request would wait for the timeout.
            if changes == self._changes:
                self._remember(key_id, known.caller, self._clock())
            return known.caller
        if record is None:
            self._known.pop(key_id, None)
            return None
        caller = Caller.of(record)
        if changes == self._changes:
            self._remember(key_id, caller, asked)
        now_us = self._now_us()
        if record.last_seen_us is None or record.last_seen_us < now_us - SEEN_EVERY_US:
            loop.run_in_executor(self._executor, self._see, key_id, now_us)  # nobody waits for it
        return caller

    def _remember(self, key_id: str, caller: Caller, since: float) -> None:
        if key_id not in self._known and len(self._known) >= MAX_CACHED:
            self._known.clear()
        self._known[key_id] = _Known(caller, since + self._cache_seconds / 2, since + self._cache_seconds)

    def _see(self, key_id: str, now_us: int) -> None:
        """Only keys that exist are recorded, also when a made-up secret was sent with the id."""
        try:
            keys.see(self._database, key_id, now_us)
        except SQLAlchemyError as error:
            log.warning("last_seen_not_recorded", error=type(error).__name__)

    def _is_flooding(self, client: From) -> bool:
        return self._flood(client) is not None

    def _flood(self, client: From) -> Grant | None:
        """The refusal, when the address of a client has sent too many keys that are none."""
        now_ms = self._now_us() // 1000
        return next((self._failing.lacks(origin(client()), bucket, now_ms) for bucket in self._bound), None)

    def _refuse_flood(self, client: From) -> None:
        grant = self._flood(client)
        if grant is not None:
            self.floods += 1
            raise TooManyFailuresError(grant)

    def _failed(self, client: From) -> ServiceError:
        """Count a request without a valid key; what to answer to it."""
        self.failures += 1
        if self._bound:
            grant = self._failing.take(origin(client()), self._bound, 1, self._now_us() // 1000)[0]
            if not grant.granted:
                self.floods += 1
                return TooManyFailuresError(grant)
        return InvalidKeyError()
