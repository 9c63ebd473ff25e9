"""Plans of a workspace: how many objects and requests it may send (spec track.md 2.2, limits-and-errors.md 3, D1)."""

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
