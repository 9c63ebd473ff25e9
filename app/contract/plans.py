"""What a workspace may send: plans for /users/track, and a group of endpoints with one limit for everything else.

Spec track.md 2.2, limits-and-errors.md 1 and 3, D1.
"""

from dataclasses import dataclass
from typing import Final

MAX_BODY_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits of /users/track. None means that the plan does not set this limit."""

    name: str
    max_objects_combined: int | None
    max_objects_per_array: int | None
    #: Requests per hour.
    hourly_limit: int | None
    #: Requests per burst window.
    burst_limit: int
    burst_window_seconds: int


PLANS: Final = {
    plan.name: plan
    for plan in (
        Plan("mau_cy_24_25", 50, None, 3_600_000, 1_000, 1),
        Plan("standard", 75, None, None, 3_000, 3),
        Plan("legacy", None, 75, None, 3_000, 3),
    )
}
DEFAULT_PLAN: Final = "mau_cy_24_25"


@dataclass(frozen=True, slots=True)
class Group:
    """Endpoints that share one limit, in requests per window and workspace."""

    name: str
    limit: int
    window_seconds: int


TRACK: Final = "track"
GROUPS: Final = {
    group.name: group
    for group in (
        Group("track-sync", 500, 60),
        Group("track-bulk", 50, 1),
        Group("user-admin", 20_000, 60),
        Group("export-ids", 250, 60),
        Group("rename", 1_000, 60),
        Group("remove", 1_000, 60),
        Group("subscription-set", 5_000, 60),
        Group("catalogue", 1_000, 3_600),
        Group("default", 250_000, 3_600),
    )
}
