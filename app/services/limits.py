"""The limits of a workspace, shown and changed: for GET and PUT /v1/limits, and for `onefold limits`."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from app.contract import limits as contract
from app.contract.plans import CLOCK_HOUR, CONTINUOUS, GROUPS, TRACK
from app.domain import times
from app.quota.bucket import Bucket, Grant
from app.quota.limiter import Limiter
from app.services.accepting.acceptor import Answer
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
        """`forget` is told of a workspace whose limits were changed here."""
        self._database = database
        self._calls = calls
        self._limiter = limiter
        self._now_us = now_us
        self._forget = forget

    async def show(self, caller: Caller) -> Answer:
        """GET /v1/limits: limits and what is left of them, to any key; usage of the caller, or with PERMISSION of all
        keys of the workspace. Raises RefusedError(503).
        """
        record, shown_keys = await self._calls.run(lambda: self._read(caller.workspace_id))
        if not allows(caller.permissions, PERMISSION):
            shown_keys = [key for key in shown_keys if key.key_id == caller.key_id]
        return await self._answer(record, shown_keys)

    async def change(self, caller: Caller, body: bytes) -> Answer:
        """PUT /v1/limits: the limits as they are now. Other processes follow within the life of their cache.

        Raises RefusedError 400 or 503.
        """
        values, groups = contract.read_change(body)
        number = caller.workspace_id
        await self._calls.run(lambda: workspaces.change_limits(self._database, number, values, groups))
        self._forget(number)
        return await self.show(caller)

    async def of(self, workspace_id: int) -> Answer:
        """As `show`, with the usage of all keys."""
        return await self._answer(*await self._calls.run(lambda: self._read(workspace_id)))

    def _read(self, workspace_id: int) -> tuple[KeyRecord, list[ApiKey]]:
        ended = self._now_us() - ENDED_US
        listed = keys.listed(self._database, workspace_id)
        live = [key for key in listed if key.revoked_us is None or key.revoked_us > ended]
        return keys.of_workspace(self._database, workspace_id), live

    async def _answer(self, record: KeyRecord, shown_keys: Sequence[ApiKey]) -> Answer:
        company_id = None if record.company is None else record.company.company_id
        groups = {group: buckets_of(record, group) for group in (TRACK, *GROUPS)}
        distinct = tuple(dict.fromkeys(bucket for buckets in groups.values() for bucket in buckets))
        left = await self._limiter.peek(record.workspace_id, distinct, company_id)
        grants: dict[Bucket, Grant] = {} if left is None else dict(zip(distinct, left, strict=True))
        shown = [_limit(group, bucket, grants.get(bucket)) for group, buckets in groups.items() for bucket in buckets]
        places = {f"{key.key_id}:{group}": (key, group) for key in shown_keys for group in groups}
        found = await self._limiter.usage(record.workspace_id, list(places), company_id) if left is not None else None
        used = (
            found
            if found is None
            else [
                contract.usage(key.name, key.key_id, group, found[counter])
                for counter, (key, group) in places.items()
                if found[counter]
            ]
        )
        objects = objects_of(record)
        configured: dict[str, Any] = {
            "plan": record.plan,
            "max_objects_combined": objects.combined,
            "max_objects_per_array": objects.per_array,
            "hourly_refill": record.hourly_refill,
            "track_reset_style": record.track_reset_style,
        }
        return Answer(200, contract.answer(configured, shown, used))


def _limit(group: str, bucket: Bucket, left: Grant | None) -> dict[str, Any]:
    return {
        "group": group,
        "name": bucket.name,
        "requests": bucket.capacity,
        "window_seconds": -(-bucket.window_ms // 1000),
        "refill": CLOCK_HOUR if bucket.align_ms else CONTINUOUS,
        "remaining": None if left is None else left.remaining,
        "full_at": None if left is None or left.remaining == left.limit else times.iso(_full_ms(bucket, left) * 1000),
    }


def _full_ms(bucket: Bucket, left: Grant) -> int:
    """When the bucket is full again. Of an empty one a grant tells when there is the next token instead."""
    if left.remaining or bucket.align_ms:
        return left.reset_ms
    return left.reset_ms - (-(bucket.capacity - 1) * bucket.window_ms // bucket.capacity)
