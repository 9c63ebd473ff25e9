"""Lists of addresses: what is asked, and how it is answered (spec subscriptions.md 3.5 and 3.6)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from app.contract import addresses
from app.contract.address_events import REASONS
from app.contract.elements import MAX_ELEMENTS
from app.contract.errors import RefusedError
from app.contract.subscription_status import Query, read_page, values_of
from app.contract.subscriptions import TOO_MANY, phone
from app.domain import times
from app.domain.profile import CHANNEL_EMAIL, CHANNEL_PHONE, HARD_BOUNCED, INVALID, UNSUBSCRIBED

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 500
NO_DATES: Final = "Either start_date and end_date or email must be provided"
NO_DATES_OR_NUMBERS: Final = "Either start_date and end_date or phone_numbers must be provided"
BAD_DATES: Final = "'start_date' and 'end_date' must be days as YYYY-MM-DD, the first not behind the second"
BAD_DIRECTION: Final = "'sort_direction' must be 'asc' or 'desc'"
BAD_REASON: Final = f"'reason' must be one of {', '.join(REASONS)}"

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class Kind:
    """A list: which records of addresses it shows, and how."""

    channel: int
    #: Topic and, if it matters, state of the records.
    topic: str
    state: str | None
    #: Names in the answer: of the array, the address and the time.
    array: str
    address: str
    time: str


HARD_BOUNCES: Final = Kind(CHANNEL_EMAIL, HARD_BOUNCED, None, "emails", "email", "hard_bounced_at")
UNSUBSCRIBES: Final = Kind(CHANNEL_EMAIL, "", UNSUBSCRIBED, "emails", "email", "unsubscribed_at")
INVALID_NUMBERS: Final = Kind(CHANNEL_PHONE, INVALID, None, "sms", "phone", "invalid_detected_at")


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked of a list."""

    #: From this moment on, and before that one.
    first_us: int
    end_us: int
    #: None = all addresses; those that cannot be read are left out.
    addresses: tuple[str, ...] | None
    limit: int
    offset: int
    ascending: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An address in a list."""

    address: str
    us: int
    #: What the record says: the reason why a number is invalid.
    state: str


def read_emails(query: Query) -> Page:
    """Of GET /email/hard_bounces and /email/unsubscribes. Raises RefusedError."""
    limit, offset = read_page(query, DEFAULT_PAGE, MAX_PAGE)
    direction = (query.getlist("sort_direction") or [""])[-1] or "desc"
    if direction not in ("asc", "desc"):
        raise RefusedError(400, BAD_DIRECTION)
    named = values_of(query, "email")
    if len(named) > MAX_ELEMENTS:
        raise RefusedError(400, TOO_MANY)
    emails = tuple(email for value in named if "\0" not in value and (email := addresses.email(value)) is not None)
    first, end = _days(query, required=not named, refusal=NO_DATES)
    return Page(first, end, emails if named else None, limit, offset, direction == "asc")


def read_numbers(query: Query) -> Page:
    """Of GET /sms/invalid_phone_numbers. Numbers go before days. Raises RefusedError."""
    limit, offset = read_page(query, DEFAULT_PAGE, MAX_PAGE)
    reason = (query.getlist("reason") or [""])[-1] or None
    if reason is not None and reason not in REASONS:
        raise RefusedError(400, BAD_REASON)
    named = values_of(query, "phone_numbers")
    if len(named) > MAX_ELEMENTS:
        raise RefusedError(400, TOO_MANY)
    # A plus sign that was not escaped arrives as a blank.
    numbers = tuple(number for value in named if (number := phone(f"+{value.strip().lstrip('+')}")) is not None)
    if named:
        return Page(0, times.END, numbers, limit, offset, reason=reason)
    first, end = _days(query, required=True, refusal=NO_DATES_OR_NUMBERS)
    return Page(first, end, None, limit, offset, reason=reason)


def _days(query: Query, *, required: bool, refusal: str) -> tuple[int, int]:
    """(begin of the first day, end of the last one). Days are of UTC."""
    first, last = ((query.getlist(name) or [""])[-1] for name in ("start_date", "end_date"))
    if required and not (first and last):
        raise RefusedError(400, refusal)
    begin = _day(first) if first else 0
    end = _day(last) + times.DAY if last else times.END
    if begin >= end:
        raise RefusedError(400, BAD_DATES)
    return begin, end


def _day(text: str) -> int:
    try:
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None:
        raise RefusedError(400, BAD_DATES)
    return (found.toordinal() - _EPOCH) * times.DAY


def listing(kind: Kind, found: Sequence[Listed]) -> dict[str, object]:
    """The answer. Times are as in `2016-08-25 15:24:32 +0000`."""
    entries = [
        {kind.address: one.address, kind.time: f"{times.iso(one.us)[:19].replace('T', ' ')} +0000"} for one in found
    ]
    if kind is INVALID_NUMBERS:
        entries = [{**entry, "reason": one.state} for entry, one in zip(entries, found, strict=True)]
    return {kind.array: entries}
