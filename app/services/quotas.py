"""Which buckets count a call: from the limits of a workspace and the group of the endpoint (limits-and-errors.md 1)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from app.contract.plans import CLOCK_HOUR, EPOCH, GROUPS, MAU, PLANS, TRACK, TRACK_BULK
from app.contract.track import Limits
from app.quota.bucket import Bucket, Grant
from app.store.keys import KeyRecord

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Quota:
    """What one key may call of one group of endpoints. All of `buckets` must have a token."""

    buckets: tuple[Bucket, ...]
    company_id: int | None
    #: Under what the calls are counted.
    counter: str
    #: X-RateLimit-Reset is a number of seconds, not a point in time.
    counts_down: bool
    #: A refusal says when to come back in X-RateLimit-Retry-After, and has no other header of the limit.
    terse: bool
    #: The value of RateLimit-Policy; empty = the answers carry no such header.
    policy: str


@dataclass(frozen=True, slots=True)
class Admission:
    """A call that was counted: the answer of the buckets, and how to tell it."""

    grant: Grant
    quota: Quota


def quota_of(record: KeyRecord, group: str, *, ietf: bool) -> Quota:
    """What a key may call of a group of endpoints. `ietf`: answers carry RateLimit-Policy."""
    buckets = buckets_of(record, group)
    return Quota(
        buckets=buckets,
        company_id=None if record.company is None else record.company.company_id,
        counter=f"{record.key_id}:{group}",
        counts_down=record.track_reset_style != EPOCH and group.startswith(TRACK),
        terse=record.track_reset_style == MAU and group.startswith(TRACK),
        policy=", ".join(f'"{b.name}";q={b.capacity};w={_seconds(b.window_ms)}' for b in buckets) if ietf else "",
    )


def buckets_of(record: KeyRecord, group: str) -> tuple[Bucket, ...]:
    """TRACK: burst, hourly on plans that have one, and the same of the company. Any other group has one bucket."""
    chosen = record.group_limits.get(group)
    if group == TRACK or (group == TRACK_BULK and chosen == "plan"):
        return _track(record)
    if chosen is not None:
        requests, seconds = chosen
        return (Bucket(group, requests, seconds * 1000),)
    return _default(group)


def objects_of(record: KeyRecord) -> Limits:
    """Objects that one request to /users/track may carry."""
    plan = PLANS[record.plan]
    return Limits(
        record.max_objects_combined or plan.max_objects_combined,
        record.max_objects_per_array or plan.max_objects_per_array,
    )


@lru_cache(64)
def _default(group: str) -> tuple[Bucket, ...]:
    limit = GROUPS[group]
    return (Bucket(group, limit.limit, limit.window_seconds * 1000),)


def _track(record: KeyRecord) -> tuple[Bucket, ...]:
    plan = PLANS[record.plan]
    window = record.burst_window_seconds or plan.burst_window_seconds
    buckets = [Bucket("burst", record.burst_limit or plan.burst_limit, window * 1000)]
    hourly = record.hourly_limit or plan.hourly_limit
    if hourly is not None:
        buckets.append(
            Bucket("hourly", hourly, HOUR_MS, _align(record.hourly_refill), told=record.track_reset_style == MAU)
        )
    company = record.company
    if company is not None and company.burst_limit is not None:
        window_ms = company.burst_window_seconds * 1000
        buckets.append(Bucket("company-burst", company.burst_limit, window_ms, company=True))
    if company is not None and company.hourly_limit is not None:
        align_ms = _align(company.hourly_refill)
        buckets.append(Bucket("company-hourly", company.hourly_limit, HOUR_MS, align_ms, company=True))
    return tuple(buckets)


def _align(refill: str) -> int:
    return HOUR_MS if refill == CLOCK_HOUR else 0


def _seconds(window_ms: int) -> int:
    return -(-window_ms // 1000)
