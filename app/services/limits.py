"""The limits of a workspace, shown and changed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    ) -> None:
        """`forget` gets a workspace whose limits were changed here."""
        self._database = database
        self._calls = calls
        self._limiter = limiter
        self._now_us = now_us
        self._forget = forget

    async def show(self, caller: Caller) -> LimitsNow:
        """The limits and what is left of them, for any key; usage of the caller, or with PERMISSION of all keys of the
        workspace. Raises UnavailableError.
        """
        record, shown_keys = await self._calls.run(lambda: self._read(caller.workspace_id))
        if not allows(caller.permissions, PERMISSION):
            shown_keys = [key for key in shown_keys if key.key_id == caller.key_id]
        return await self._now(record, shown_keys)

    async def change(self, caller: Caller, values: dict[str, Any], groups: dict[str, Any]) -> LimitsNow:
        """Change columns of the workspace and limits of groups; the limits as they are now.

        Other processes follow within the life of their cache. Raises UnavailableError.
        """
        number = caller.workspace_id
        await self._calls.run(lambda: workspaces.change_limits(self._database, number, values, groups))
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
