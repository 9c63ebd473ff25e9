"""SDK data: who sends, how often they may, and into the inbox with it."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app.contract import addresses, sdk, signatures, track
from app.contract.apps import ANY_ORIGIN
from app.contract.errors import RefusedError
from app.contract.sdk import CheckedBatch
from app.contract.sdk_records import Sender, Verify
from app.contract.signatures import PublicKey
from app.contract.tracking import batch as tracking
from app.quota.bucket import Bucket
from app.quota.local import LocalBuckets
from app.services import budget
from app.services.accepting.acceptor import Accepted, Acceptor
from app.services.caller import Caller
from app.services.keys import From, KeyRing
from app.services.networks import origin as origin_of
from app.services.refusals import (
    AccessDeniedError,
    InvalidKeyError,
    TooFrequentError,
    UnavailableError,
    WorkspaceClosedError,
)
from app.services.subscription_groups import SubscriptionGroups
from app.store import apps, keys
from app.store.apps import SDK_LENGTH, SDK_PREFIX, App
from app.store.engine import Database
from app.store.workspaces import UnknownNameError

#: The group of limits.
GROUP: Final = "sdk"
#: SDK keys that a process remembers. It forgets all of them when there are more.
MAX_REMEMBERED: Final = 10_000
_KEY: Final = re.compile(f"{SDK_PREFIX}[0-9A-Za-z]{{{SDK_LENGTH}}}")
_MINUTE_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class SdkLimits:
    """What devices may send. Batches are counted in a minute, in each API process; 0 = any number."""

    per_device: int
    per_address: int
    per_app: int
    #: Of one batch.
    bytes: int
    records: int
    #: Of a batch of calls of a tracking SDK, and of one call.
    calls_bytes: int
    call_bytes: int


@dataclass(frozen=True, slots=True)
class Known:
    """An app, and its workspace as a caller."""

    caller: Caller
    app: App
    #: With which signatures are verified.
    keys: tuple[PublicKey, ...]
    #: On the monotonic clock: it is looked up again beside requests from `refresh` on, and before them from `until` on.
    refresh: float
    until: float


class Away(Enum):
    """The type of AWAY."""

    AWAY = 0


#: What is known of a key while the database does not answer.
AWAY: Final = Away.AWAY


@dataclass(slots=True)
class SdkCounts:
    """What arrived, since the process began."""

    #: By what became of them: `taken`, `refused`, `throttled`.
    batches: Counter[str] = field(default_factory=Counter)
    #: Of batches that were taken, by type.
    records: Counter[str] = field(default_factory=Counter)
    #: By who dropped them: `gateway`, since they cannot be taken, or `device`, as it says.
    dropped: Counter[str] = field(default_factory=Counter)

    def took(self, batch: CheckedBatch) -> None:
        self.batches["taken"] += 1
        self.records.update(batch.types)
        self.dropped["gateway"] += len(batch.errors)
        self.dropped["device"] += batch.dropped


class SdkGateway:
    """One per API process. A change of an app is seen at most `cache_seconds` later."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        ring: KeyRing,
        acceptor: Acceptor,
        groups: SubscriptionGroups,
        limits: SdkLimits,
        now_us: Callable[[], int],
        cache_seconds: float,
        timeout: float,
    ) -> None:
        """Look-ups of keys are made in `executor`, for at most `timeout` in seconds."""
        self._database = database
        self._executor = executor
        self._ring = ring
        self._acceptor = acceptor
        self._groups = groups
        self.limits = limits
        self._now_us = now_us
        self._cache_seconds = cache_seconds
        self._timeout = timeout
        self._known: dict[str, Known] = {}
        self._asking: dict[str, asyncio.Task[Known | Away | None]] = {}
        self.counts = SdkCounts()
        #: Questions to the database about keys.
        self.lookups = 0
        self._buckets = {
            name: (LocalBuckets(), Bucket(name, most, _MINUTE_MS)) if most else None
            for name, most in (
                ("sdk-app", limits.per_app),
                ("sdk-address", limits.per_address),
                ("sdk-device", limits.per_device),
            )
        }

    async def authenticate(self, sdk_key: str | None, client: From) -> Known:
        """The app of an SDK key. Raises InvalidKeyError, TooManyFailuresError, UnavailableError."""
        if sdk_key is None or _KEY.fullmatch(sdk_key) is None:
            raise self._failed(client)
        known, now = self._known.get(sdk_key), time.monotonic()
        if known is not None and now < known.until:
            if now >= known.refresh and sdk_key not in self._asking:
                self._ask(sdk_key)
            return known
        if known is None:
            self._ring.refuse_flood(client)
        # Whoever comes meanwhile waits for the same look-up; a client that goes away does not end it.
        found = await asyncio.shield(self._asking.get(sdk_key) or self._ask(sdk_key))
        if found is None:
            raise self._failed(client)
        if found is AWAY:
            raise UnavailableError
        return found

    def _ask(self, sdk_key: str) -> "asyncio.Task[Known | Away | None]":
        task = self._asking[sdk_key] = asyncio.get_running_loop().create_task(self._answer(sdk_key))
        return task

    async def _answer(self, sdk_key: str) -> "Known | Away | None":
        try:
            return await self._known_now(sdk_key)
        finally:
            # Removed before the look-up ends, so that nobody takes the answer of an old one.
            self._asking.pop(sdk_key, None)

    async def _known_now(self, sdk_key: str) -> "Known | Away | None":
        """The app as it stands in the database, None where it has none; as it was known while that cannot be asked."""
        known, asked = self._known.get(sdk_key), time.monotonic()
        self.lookups += 1
        try:
            async with asyncio.timeout(budget.left(self._timeout)):
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self._executor, self._look_up, sdk_key)
        except (SQLAlchemyError, OSError):  # a timeout is an OSError
            if known is None:
                return AWAY
            # Not asked again for a while: every request would wait for the timeout.
            return self._remember(sdk_key, known.caller, known.app, time.monotonic())
        if found is None:
            self._known.pop(sdk_key, None)
            return None
        return self._remember(sdk_key, *found, asked)

    def _remember(self, sdk_key: str, caller: Caller, app: App, since: float) -> Known:
        if sdk_key not in self._known and len(self._known) >= MAX_REMEMBERED:
            self._known.clear()
        refresh, until = since + self._cache_seconds / 2, since + self._cache_seconds
        known = self._known[sdk_key] = Known(caller, app, keys_of(app), refresh, until)
        return known

    def admit(self, known: Known, origin: str | None, client: From) -> None:
        """Let an app's page or device through. `origin` is that of the page, None for what is none.

        Raises WorkspaceClosedError, AccessDeniedError, TooFrequentError.
        """
        if known.caller.disabled:
            raise WorkspaceClosedError
        if known.app.disabled or not self.allows(known, origin):
            raise AccessDeniedError
        self._take("sdk-address", origin_of(client()))
        self._take("sdk-app", known.app.id)

    @staticmethod
    def allows(known: Known, origin: str | None) -> bool:
        """Whether a page of this origin may send for the app."""
        allowed = known.app.allowed_origins
        return origin is None or ANY_ORIGIN in allowed or origin.lower() in allowed

    async def accept(self, known: Known, body: bytes) -> Accepted:
        """Commit a batch. Raises RefusedError, TooFrequentError; else as Acceptor.append."""
        try:
            return await self._accept(known, body)
        except RefusedError:
            self.counts.batches["refused"] += 1
            raise

    async def _accept(self, known: Known, body: bytes) -> Accepted:
        caller, app = known.caller, known.app
        device = await self._acceptor.read(caller, sdk.device_of, body)
        self._take("sdk-device", (app.id, device))
        groups = await self._acceptor.read(caller, sdk.group_ids, body)
        sender = replace(
            self._sender(known),
            most_records=self.limits.records,
            groups=await self._groups.channels(caller, groups) if groups else {},
        )
        received_us = self._now_us()
        checked: list[CheckedBatch] = []

        def check(content: bytes) -> CheckedBatch:
            checked.append(sdk.check(content, sender, received_us))
            return checked[-1]

        accepted = await self._acceptor.queue(caller, check, body)
        self.counts.took(checked[-1])
        return accepted

    async def accept_calls(self, known: Known, body: bytes, kind: str | None) -> Accepted:
        """Commit a call of a tracking SDK, or a batch of them for None. Raises as `accept`."""
        caller = known.caller
        for device in await self._acceptor.read(caller, tracking.devices_of, body):
            self._take("sdk-device", (known.app.id, device))
        check = partial(
            tracking.check,
            sender=self._sender(known),
            received_us=self._now_us(),
            secret=caller.workspace_secret,
            kind=kind,
            most_bytes=self.limits.call_bytes,
        )
        return await self._acceptor.queue(caller, check, body)

    def _sender(self, known: Known) -> Sender:
        options, app = known.caller.options, known.app
        return Sender(
            app.id,
            app.name,
            app.platform,
            region=addresses.region_of(options),
            ecommerce_events=track.wants_ecommerce(options),
            verify=self._verifying(known) if app.sdk_authentication else None,
        )

    def _verifying(self, known: Known) -> Verify:
        return lambda token: signatures.subject(token, known.keys, self._now_us() / 1_000_000)

    def _look_up(self, sdk_key: str) -> tuple[Caller, App] | None:
        found = apps.by_sdk_key(self._database, sdk_key)
        if found is None:
            return None
        workspace_id, app = found
        try:
            record = keys.of_workspace(self._database, workspace_id)
        except UnknownNameError:
            return None
        return Caller.of(replace(record, key_id=app.id, key_name=app.name)), app

    def _failed(self, client: From) -> InvalidKeyError:
        """Count a request without a valid key. Raises TooManyFailuresError for too many from one address."""
        self._ring.refuse_flood(client)
        self._ring.count_failure(client)
        return InvalidKeyError()

    def _take(self, name: str, owner: object) -> None:
        found = self._buckets[name]
        if found is not None:
            levels, bucket = found
            refusal = levels.spend(owner, bucket, self._now_us() // 1000)
            if refusal is not None:
                self.counts.batches["throttled"] += 1
                raise TooFrequentError(refusal)


def keys_of(app: App) -> tuple[PublicKey, ...]:
    """The keys that sign for an app. They were read when they were stored."""
    return tuple(map(signatures.read_key, app.public_keys))
