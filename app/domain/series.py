"""Series: how much happened on each day and in each hour of a workspace, under a name and in an app.

What happens is booked by its own time, with the time zone that is in force then (DECISIONS D75), and never taken back:
a sum belongs to nobody. A day is the calendar day of the zone. An hour is one of its clock, so where clocks are half an
hour apart it begins at half past, in UTC.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.domain import times
from app.domain.profile import NAME_EVENT, NAME_PRODUCT, NAME_SESSION
from app.domain.state import State

# Kinds of series. The numbers are stored.
EVENTS: Final = NAME_EVENT  # times that an event occurred
PRODUCTS: Final = NAME_PRODUCT  # pieces of a product, and cents
PURCHASES: Final = 10  # pieces of all products, and cents of purchases and orders; without a name, as all that follow
NEW_USERS: Final = 11  # profiles that were made
UNINSTALLS: Final = 12
SESSIONS: Final = NAME_SESSION
DAILY_ACTIVE: Final = 14  # people with a session on the day
MONTHLY_ACTIVE: Final = 15  # people with a session on the day or one of the 29 before
DAILY_ACTIVE_IN_APP: Final = 17  # the same of one app: who uses two apps is one person in all, so these do not add up
MONTHLY_ACTIVE_IN_APP: Final = 18
DATA_POINTS: Final = 20  # as app.domain.data_points counts; the amount is how many of them deltas would have saved

#: Which kind counts people of an app, where the sum over apps is not the count of all.
OF_APPS: Final = {DAILY_ACTIVE: DAILY_ACTIVE_IN_APP, MONTHLY_ACTIVE: MONTHLY_ACTIVE_IN_APP}

#: Kinds of which hours are kept as well.
HOURLY: Final = frozenset((EVENTS, PRODUCTS, PURCHASES, SESSIONS))

#: How long before its acceptance something may have happened that is booked: at all, and by the hour.
DAYS: Final = 400
HOUR_DAYS: Final = 32
_DAYS_US: Final = DAYS * times.DAY
_HOURS_US: Final = HOUR_DAYS * times.DAY

#: Characters of an app's id. What has a longer one is booked as without an app.
MAX_APP: Final = 255
NO_HOUR: Final = -1

Key = tuple[int, str, str]
"""(kind, name, app); "" is no name and no app."""

Bucket = tuple[int, str, str, int, int]
"""A key, the day, counted from 1970-01-01, and the beginning of the hour in minutes since then, or NO_HOUR."""

#: All offsets of zones from UTC are whole quarters of an hour since 1972.
QUARTER_US: Final = 15 * times.MINUTE
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL: Final = _EPOCH.toordinal()


def book(state: State, kind: int, name: str, app_id: str | None, time_us: int, count: int, amount: int = 0) -> None:
    """Add to a day for the request in hand, and to an hour where these are kept and it is not too long ago.

    What happened too long ago for both is only counted.
    """
    changes, age_us = state.changes, state.now_us - time_us
    if age_us > _DAYS_US:
        changes.too_old += 1
        return
    day, hour = place(state.settings.time_zone, time_us // QUARTER_US)
    if age_us > _HOURS_US or kind not in HOURLY:
        hour = NO_HOUR
    _add(state, (kind, name, app_id if app_id and len(app_id) <= MAX_APP else "", day, hour), count, amount)


def book_day(state: State, kind: int, app_id: str, day: int, count: int) -> None:
    """Add to a day, which may be one to come, of a series without a name."""
    _add(state, (kind, "", app_id, day, NO_HOUR), count, 0)


def day_of(state: State, us: int) -> int:
    """The day of a moment in the workspace's time zone."""
    return place(state.settings.time_zone, us // QUARTER_US)[0]


def sums(state: State, bucket: Bucket) -> list[int]:
    """The [count, amount] that is added to a bucket, to be changed in place."""
    found = state.changes.series.get(bucket)
    if found is None:
        found = state.changes.series[bucket] = [0, 0]
    return found


def _add(state: State, bucket: Bucket, count: int, amount: int) -> None:
    added = sums(state, bucket)
    added[0] += count
    added[1] += amount


@lru_cache(maxsize=20_000)
def place(zone: str, quarter: int) -> tuple[int, int]:
    """The day and the hour, as in Bucket, of a quarter of an hour since 1970 in a time zone.

    A zone that this machine does not know any more is UTC: applying cannot fail on it.
    """
    minutes = 15 * quarter
    try:
        known: tzinfo = ZoneInfo(zone)
    except ZoneInfoNotFoundError:
        known = UTC
    local = (_EPOCH + timedelta(minutes=minutes)).astimezone(known)
    return local.toordinal() - _EPOCH_ORDINAL, minutes - local.minute


def days(zone: str, now_us: int, ending_us: int, length: int) -> list[int]:
    """The days of a question, oldest first: `length` of them up to that of a moment, as far back as days are kept."""
    if ending_us < now_us - _DAYS_US:
        return []
    first, _ = place(zone, (now_us - _DAYS_US) // QUARTER_US)
    last, _ = place(zone, ending_us // QUARTER_US)
    return list(range(max(first, last - length + 1), last + 1))


def hours(zone: str, now_us: int, ending_us: int, length: int) -> list[int]:
    """The beginnings of the hours of a question, likewise."""
    if ending_us < now_us - _HOURS_US:
        return []
    _, first = place(zone, (now_us - _HOURS_US) // QUARTER_US)
    _, hour = place(zone, ending_us // QUARTER_US)
    found: list[int] = []
    while len(found) < length and hour >= first:
        found.append(hour)
        _, hour = place(zone, hour // 15 - 1)
    return found[::-1]
