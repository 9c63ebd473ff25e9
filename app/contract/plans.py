"""What a workspace may send: plans for /users/track, and a group of endpoints with one limit for everything else.

Spec track.md 2.2, limits-and-errors.md 1 and 3, D1.
"""

from dataclasses import dataclass
from typing import Final

MAX_BODY_BYTES: Final = 4 * 1024 * 1024
MAX_BULK_BODY_BYTES: Final = 2 * 1024 * 1024
#: Objects of one request to /users/track/bulk, and those of them that may name the same profile.
MAX_BULK_OBJECTS: Final = 1_000
MAX_BULK_OBJECTS_PER_PROFILE: Final = 100


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
TRACK_BULK: Final = "track-bulk"
EXPORT_IDS: Final = "export-ids"
#: Instead of `export-ids`, for requests that name what they want and want nothing large (export-delete-rename.md 1).
EXPORT_FIELDS: Final = "export-fields"
GROUPS: Final = {
    group.name: group
    for group in (
        Group("track-sync", 500, 60),
        Group(TRACK_BULK, 50, 1),
        Group("user-admin", 20_000, 60),
        Group(EXPORT_IDS, 250, 60),
        Group(EXPORT_FIELDS, 40, 1),
        Group("rename", 1_000, 60),
        Group("remove", 1_000, 60),
        Group("subscription-set", 5_000, 60),
        Group("sdk", 300_000, 60),
        Group("catalogue", 1_000, 3_600),
        Group("default", 250_000, 3_600),
    )
}

CONTINUOUS, CLOCK_HOUR = "continuous", "clock_hour"
REFILLS: Final = (CONTINUOUS, CLOCK_HOUR)
EPOCH, SECONDS, MAU = "epoch", "seconds", "mau"
#: MAU: as the newer plans of upstream answer, by the hourly limit alone (DECISIONS D57).
RESET_STYLES: Final = (EPOCH, SECONDS, MAU)
#: The largest configurable limit and window: buckets count limit x window in milliseconds, below 2**53.
MAX_LIMIT: Final = 2_000_000_000
MAX_WINDOW_SECONDS: Final = 3_600
