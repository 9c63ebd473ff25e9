"""The limits of a workspace, shown and changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from app.contract.plans import GROUPS, TRACK
from app.contract.track import Limits as Objects
from app.domain import times
from app.quota.bucket import Bucket, Grant
from app.quota.limiter import Limiter
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.permissions import allows
from app.services.quotas import buckets_of, objects_of
from app.services.refusals import LimitTooHighError
from app.store import keys, workspaces
from app.store.engine import Database
from app.store.keys import KeyRecord
from app.store.tables import ApiKey

PERMISSION: Final = "admin.limits"
#: Usage is kept for two days, so keys that ended before are not asked about.
ENDED_US: Final = 2 * times.DAY


@dataclass(frozen=True, slots=True)
class Limit:
    """One bucket of a group of endpoints, and what is left of it; None while Redis is away."""

    group: str
    bucket: Bucket
    left: Grant | None

    @property
    def full_ms(self) -> int | None:
        """When the bucket is full again; None when it is, and while Redis is away."""
        if self.left is None or self.left.remaining == self.left.limit:
            return None
        if self.left.remaining or self.bucket.align_ms:
            return self.left.reset_ms
        # Of an empty bucket a grant tells when there is the next token instead.
        return self.left.reset_ms - (-(self.bucket.capacity - 1) * self.bucket.window_ms // self.bucket.capacity)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a key called of a group in the last day: (minute since 1970, admitted, refused)."""

    key_name: str
    key_id: str
    group: str
    minutes: Sequence[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class LimitsNow:
    """What is configured, left and used."""

    workspace: KeyRecord
    #: Objects that one request to /users/track may carry.
    objects: Objects
    limits: list[Limit]
    #: None while Redis is away.
    usage: list[Usage] | None


class WorkspaceLimits:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        calls: StoreCalls,
        limiter: Limiter,
        now_us: Callable[[], int],
        forget: Callable[[int], None],
        ceiling: int = 0,
    ) -> None:
        """`forget` gets a workspace whose limits were changed here. `ceiling`: as in `change_limits`."""
        self._database = database
        self._calls = calls
        self._limiter = limiter
        self._now_us = now_us
        self._forget = forget
        self._ceiling = ceiling

    async def show(self, caller: Caller) -> LimitsNow:
        """The limits and what is left of them, for any key; usage of the caller, or with PERMISSION of all keys of the
        workspace. Raises UnavailableError.
        """
        record, shown_keys = await self._calls.run(lambda: self._read(caller.workspace_id))
        if not allows(caller.permissions, PERMISSION):
            shown_keys = [key for key in shown_keys if key.key_id == caller.key_id]
        return await self._now(record, shown_keys)

    async def left(self, caller: Caller) -> LimitsNow:
        """The limits and what is left of them, without the usage of any key. Raises UnavailableError."""
        return await self._now(
            await self._calls.run(lambda: keys.of_workspace(self._database, caller.workspace_id)), ()
        )

    async def change(self, caller: Caller, values: dict[str, Any], groups: dict[str, Any]) -> LimitsNow:
        """Change columns of the workspace and limits of groups; the limits as they are now.

        Other processes follow within the life of their cache. Raises UnavailableError, LimitTooHighError.
        """
        number = caller.workspace_id
        await self._calls.run(lambda: change_limits(self._database, number, values, groups, self._ceiling))
        self._forget(number)
        return await self.show(caller)

    def _read(self, workspace_id: int) -> tuple[KeyRecord, list[ApiKey]]:
        ended = self._now_us() - ENDED_US
        listed = keys.listed(self._database, workspace_id)
        live = [key for key in listed if key.revoked_us is None or key.revoked_us > ended]
        return keys.of_workspace(self._database, workspace_id), live

    async def _now(self, record: KeyRecord, shown_keys: Sequence[ApiKey]) -> LimitsNow:
        company_id = None if record.company is None else record.company.company_id
        groups = {group: buckets_of(record, group) for group in (TRACK, *GROUPS)}
        distinct = tuple(dict.fromkeys(bucket for buckets in groups.values() for bucket in buckets))
        left = await self._limiter.peek(record.workspace_id, distinct, company_id)
        grants: dict[Bucket, Grant] = {} if left is None else dict(zip(distinct, left, strict=True))
        limits = [Limit(group, bucket, grants.get(bucket)) for group, buckets in groups.items() for bucket in buckets]
        counters = {f"{key.key_id}:{group}": (key, group) for key in shown_keys for group in groups}
        minutes = None
        if left is not None:
            minutes = await self._limiter.usage(record.workspace_id, list(counters), company_id)
        usage = None
        if minutes is not None:
            usage = [
                Usage(key.name, key.key_id, group, minutes[counter])
                for counter, (key, group) in counters.items()
                if minutes[counter]
            ]
        return LimitsNow(record, objects_of(record), limits, usage)


def change_limits(
    database: Database, workspace_id: int, values: dict[str, Any], groups: dict[str, Any], ceiling: int = 0
) -> None:
    """Change columns of a workspace and limits of groups. Raises LimitTooHighError, and then nothing is changed.

    `ceiling`: requests in a second that no limit of it may be raised above; 0 = none. What an operator has set above it
    stays, and may be lowered.
    """

    def check() -> None:
        before = keys.of_workspace(database, workspace_id)
        merged = {name: limit for name, limit in (before.group_limits | groups).items() if limit is not None}
        after = replace(before, **values, group_limits=merged)
        for group in (TRACK, *GROUPS):
            had = {bucket.name: bucket for bucket in buckets_of(before, group)}
            for bucket in buckets_of(after, group):
                if not bucket.company and _exceeds(bucket, ceiling) and _is_raised(bucket, had.get(bucket.name)):
                    seconds = bucket.window_ms // 1000
                    raise LimitTooHighError(bucket.name, ceiling * seconds, seconds)

    workspaces.change_limits(database, workspace_id, values, groups, check if ceiling else _anything)


def _anything() -> None:
    """No limit is too high."""


def _exceeds(bucket: Bucket, ceiling: int) -> bool:
    return bucket.capacity * 1000 > ceiling * bucket.window_ms


def _is_raised(bucket: Bucket, before: Bucket | None) -> bool:
    """Whether it admits more at once, or more in a time."""
    if before is None:
        return True
    return bucket.capacity > before.capacity or bucket.capacity * before.window_ms > before.capacity * bucket.window_ms
