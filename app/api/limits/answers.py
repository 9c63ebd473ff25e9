"""Limits as JSON."""

from typing import Any

from app.contract import limits as contract
from app.contract.plans import CLOCK_HOUR, CONTINUOUS
from app.domain import times
from app.services.limits import Limit, LimitsNow


def document(now: LimitsNow) -> bytes:
    """The answer of GET and PUT /v1/limits."""
    configured = {
        "plan": now.workspace.plan,
        "max_objects_combined": now.objects.combined,
        "max_objects_per_array": now.objects.per_array,
        "hourly_refill": now.workspace.hourly_refill,
        "track_reset_style": now.workspace.track_reset_style,
    }
    used = None
    if now.usage is not None:
        used = [contract.usage(one.key_name, one.key_id, one.group, one.minutes) for one in now.usage]
    return contract.answer(configured, [_limit(limit) for limit in now.limits], used)


def _limit(limit: Limit) -> dict[str, Any]:
    bucket, full_ms = limit.bucket, limit.full_ms
    return {
        "group": limit.group,
        "name": bucket.name,
        "requests": bucket.capacity,
        "window_seconds": -(-bucket.window_ms // 1000),
        "refill": CLOCK_HOUR if bucket.align_ms else CONTINUOUS,
        "remaining": None if limit.left is None else limit.left.remaining,
        "full_at": None if full_ms is None else times.iso(full_ms * 1000),
    }
