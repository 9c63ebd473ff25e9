"""Test mode, /v1/test: what is to go wrong with the calls of a key, and what time it is. Endpoints of our own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from app.contract import elements
from app.contract.body import parse_object, unsound
from app.contract.errors import INTERNAL, RATE_LIMITED, UNAVAILABLE, RefusedError
from app.domain import numbers, times

MAX_LATENCY_MS: Final = 60_000
MAX_TIMES: Final = 1_000_000
MAX_RETRY_SECONDS: Final = 86_400
MAX_PATHS: Final = 100
MAX_PATH: Final = 255
#: The statuses that a call can be made to get, and what is said.
MESSAGES: Final[Mapping[int, str]] = {
    429: RATE_LIMITED,
    500: INTERNAL,
    502: "Bad Gateway",
    503: UNAVAILABLE,
    504: "Gateway Timeout",
}
_MEMBERS: Final = ("latency_ms", "status", "retry_after_seconds", "times", "paths")

BAD_BODY: Final = (
    "The body must be an object with one or both of 'latency_ms' and 'status', and no other than"
    f" {', '.join(repr(name) for name in _MEMBERS[:-1])} and '{_MEMBERS[-1]}'"
)
BAD_NUMBER: Final = "'%s' must be a whole number from %d to %d"
BAD_STATUS: Final = f"'status' must be one of {', '.join(map(str, MESSAGES))}"
BAD_PATHS: Final = f"'paths' must be an array of 1 to {MAX_PATHS} paths of endpoints, such as /users/track"

#: What the clock can be set to, and how far it moves on at once.
FIRST_US: Final = 946_684_800 * times.SECOND  # 2000-01-01
LAST_US: Final = 4_102_444_800 * times.SECOND  # 2100-01-01
MAX_ADVANCE_SECONDS: Final = 10 * 366 * 86_400
_CLOCK: Final = ("now", "advance_seconds", "frozen")

BAD_CLOCK: Final = "The body must be an object with one of 'now' and 'advance_seconds', 'frozen', or both, and no more"
BAD_TIME: Final = "'now' must be a time from 2000 to 2099, and the clock does not go beyond"
BAD_ADVANCE: Final = f"'advance_seconds' must be a number from 0 to {MAX_ADVANCE_SECONDS}"
BAD_FROZEN: Final = "'frozen' must be true or false"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with calls of a key."""

    #: The answer comes so much later.
    latency_ms: int = 0
    #: A call gets this status and has no effect; 0 = it is served.
    status: int = 0
    #: When the client may come again, where the status is 429 or 503.
    retry_after_seconds: int = 1
    #: How many calls meet it; None = all, until it is taken away.
    times: int | None = None
    #: Endpoints, as they stand in the documentation; empty = all, without those of test mode.
    paths: tuple[str, ...] = ()


def read_fault(body: bytes) -> Fault:
    """Raises RefusedError(400)."""
    document = parse_object(body)
    if not document or not document.keys() <= set(_MEMBERS) or document.keys().isdisjoint(("latency_ms", "status")):
        raise elements.refused(BAD_BODY, document)
    if (problem := unsound(document)) is not None:
        raise RefusedError(400, f"The body {problem}")
    status = numbers.integer(document.get("status", 0))
    if status is None or (status not in MESSAGES and "status" in document):
        raise elements.refused(BAD_STATUS, document)
    most = document.get("times")
    return Fault(
        latency_ms=_number(document, "latency_ms", 0, MAX_LATENCY_MS, 0),
        status=status,
        retry_after_seconds=_number(document, "retry_after_seconds", 1, MAX_RETRY_SECONDS, 1),
        times=None if most is None else _number(document, "times", 1, MAX_TIMES, 1),
        paths=_paths(document.get("paths")),
    )


@dataclass(frozen=True, slots=True)
class ClockChange:
    """What a clock is set to: a moment, or so much later than it is."""

    us: int | None
    advance_us: int
    #: Whether it stands still then; None = as before.
    frozen: bool | None

    def at(self, now_us: int) -> int:
        """The new time. Raises RefusedError(400) where no clock goes there."""
        wanted = (now_us if self.us is None else self.us) + self.advance_us
        if not FIRST_US <= wanted < LAST_US:
            raise RefusedError(400, BAD_TIME)
        return wanted


def read_clock(body: bytes) -> ClockChange:
    """Raises RefusedError(400)."""
    document = parse_object(body)
    if not document or not document.keys() <= set(_CLOCK) or document.keys() >= {"now", "advance_seconds"}:
        raise elements.refused(BAD_CLOCK, document)
    if (problem := unsound(document)) is not None:
        raise RefusedError(400, f"The body {problem}")
    frozen = document.get("frozen")
    if "frozen" in document and not isinstance(frozen, bool):
        raise elements.refused(BAD_FROZEN, document)
    us, seconds = None, document.get("advance_seconds", 0)
    if "now" in document:
        text = document["now"]
        us = times.moment(text) if isinstance(text, str) else None
        if us is None:
            raise elements.refused(BAD_TIME, document)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_ADVANCE_SECONDS:
        raise elements.refused(BAD_ADVANCE, document)
    return ClockChange(us, round(seconds * times.SECOND), frozen)


def shown(fault: Fault | None) -> dict[str, Any] | None:
    """The fault as JSON; None where there is none."""
    return None if fault is None else asdict(fault) | {"status": fault.status or None, "paths": list(fault.paths)}


def _number(document: dict[str, Any], name: str, least: int, most: int, default: int) -> int:
    number = numbers.integer(document.get(name, default))
    if number is None or not least <= number <= most:
        raise elements.refused(BAD_NUMBER % (name, least, most), document)
    return number


def _paths(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if (
        not isinstance(value, list)
        or not 1 <= len(value) <= MAX_PATHS
        or not all(isinstance(path, str) and path.startswith("/") and len(path) <= MAX_PATH for path in value)
    ):
        raise elements.refused(BAD_PATHS, {"paths": value})
    return tuple(value)
