"""Moments: integers of microseconds since 1970-01-01T00:00:00Z, always whole milliseconds.

`parse` takes the formats of the contract's "dates and times" table (attributes.md, section 4) and nothing else; where
the table is silent, the rules are these:

* A zone is `Z`, `UTC`, `GMT`, `+hh`, `+hhmm` or `+hh:mm`, also after one blank (Ruby prints `... -0500` and `... UTC`).
  Anything else that starts with a sign is a malformed offset, which means UTC, as does an offset of a day or more.
* Seconds may be missing when a zone is there: `2026-01-05T19:20Z` is ISO 8601, and Java prints whole minutes so.
* A leap second (`23:59:60` UTC, and only there) is the first second of the next day, as POSIX counts.
* The year written and the year in UTC must both lie in 1..3000. `24:00:00`, week dates, basic forms, a decimal comma
  and lower-case `t` or `z` are no times.

`moment` is for fields that hold nothing but a time: there it also takes what ISO 8601 and RFC 9557 clients send
(DECISIONS D65). In a custom attribute the same text stays a text.
"""

import re
from calendar import isleap
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

MILLISECOND: Final = 1_000
SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH_UTC: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH: Final = _EPOCH_UTC.replace(tzinfo=None)  # the naive twin, for texts without a zone
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

#: First moment that `parse` returns, and the first after the last one.
EARLIEST: Final = (date(1, 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY
END: Final = (date(3001, 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY
_LAST_YEAR: Final = "3000"

# The part of the table that datetime.fromisoformat reads as we do, and no further, in years that no offset takes
# out of range. All else goes to the patterns below, which are slower and would give the same here.
_COMMON: Final = re.compile(
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?)?"
).fullmatch
# The part of it that needs no calendar: every year has these days.
_CERTAIN: Final = re.compile(
    r"[12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
    r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?"
).fullmatch
_UTC: Final = ("Z", "+00:00", "+0000")
_ISO: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:[T ]([0-9]{2}):([0-9]{2})"
    r"(?::([0-9]{2})(?:\.([0-9]+)|:([0-9]{3}))?)?(?: ?(Z|UTC|GMT|[+-][^\s]{0,8}))?)?"
).fullmatch
_US_DATE: Final = re.compile(r"([0-9]{2})/([0-9]{2})/([0-9]{4})").fullmatch
_WEEKDAY: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([0-9]{2}) ([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"\.([A-Za-z+-][^\s]{0,8}) ([0-9]{4})"
).fullmatch
# Both forms of ISO 8601, each whole: a hyphen in the date goes with a colon in the time.
_LENIENT: Final = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})"
    r"(?:[T ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)? ?(Z|UTC|GMT|[+-][0-9:]{2,5})?)?"
    r"((?:\[!?[A-Z0-9_./+:=-]+\])*)"
).fullmatch
_LONGEST: Final = 100
_OFFSET: Final = re.compile(r"([+-])([01][0-9]|2[0-3]):?([0-5][0-9])?").fullmatch


def is_time(text: str) -> bool:
    """Whether `parse` finds a moment, without working out which one."""
    return _CERTAIN(text) is not None or parse(text) is not None


def parse(text: str) -> int | None:
    """The moment that a text names, or None when it is not in one of the contract's formats. Never raises."""
    # Nearly every text that comes here is not a date: three looks at single characters settle that.
    if len(text) < 10:
        return None
    if text[4] == "-":
        if _COMMON(text) is None:
            return _iso(text)
        try:
            when = datetime.fromisoformat(text)
        except ValueError:  # no such date, or a second of 60
            return _iso(text)
        since = when - _EPOCH if when.tzinfo is None else when - _EPOCH_UTC
        return (since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000) * 1_000
    if text[2] == "/":
        return _us_date(text)
    if text[3] == " ":
        return _weekday(text)
    return None


def normal(text: str) -> str | None:
    """The moment that `parse` finds as `iso` writes it, or None."""
    if text[19:] in _UTC and _CERTAIN(text) is not None:  # so most clients write it, and it needs no calendar
        return f"{text[:10]}T{text[11:19]}.000Z"
    us = parse(text)
    return None if us is None else iso(us)


def moment(text: str) -> int | None:
    """As `parse`, in a field that can hold only a time. None when the text is not a time.

    Also taken: blanks around it, no seconds, the basic form (`20260105T192030Z`), a comma before the fraction, lower
    case `t` and `z`, a minus sign for a hyphen, and suffixes in brackets (`[Europe/Paris]`).
    """
    us = parse(text)
    if us is not None or len(text) > _LONGEST:
        return us
    text = text.strip()
    us = parse(text)
    if us is not None:
        return us
    parts = _LENIENT(text.upper().replace("\u2212", "-"))
    if parts is None:
        return None
    year, month, day_, hour, minute, second, fraction, zone, suffix = parts.groups()
    if suffix and not zone:  # a zone's name stands behind an offset, it does not replace it
        return None
    return _moment(year, month, day_, hour or "00", minute or "00", second or "00", fraction or "", zone)


def past_or_future(text: str) -> int | None:
    """As `moment`, for things that have happened: what lies beyond the year 3000 is the last moment before it ends.

    Whoever reads it takes a future time for the present one, however far ahead it is.
    """
    found = moment(text)
    if found is not None or len(text) > _LONGEST:
        return found
    text = text.strip()
    for year, rest in ((text[:4], text[4:]), (text[-4:], text[:-4])):  # ISO 8601, or the forms that end with the year
        if year.isascii() and year.isdecimal() and year >= _LAST_YEAR:
            near = "2000" if isleap(int(year)) else "2001"
            if moment(near + rest if rest == text[4:] else rest + near) is not None:
                return END - MILLISECOND
    return None


def iso(us: int) -> str:
    """`YYYY-MM-DDTHH:MM:SS.mmmZ`, cut to the millisecond. Raises OverflowError outside the years 1 to 9999."""
    minute, rest = divmod(us, MINUTE)
    milliseconds = rest // MILLISECOND
    return f"{_minute(minute)}{milliseconds // 1000:02d}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=4096)  # moments cluster around now: the calendar is computed once a minute, not once an event
def _minute(minute: int) -> str:
    return (_EPOCH + timedelta(minutes=minute)).isoformat()[:17]


def _iso(text: str) -> int | None:
    match = _ISO(text)
    if match is None:
        return None
    year, month, day_, hour, minute, second, fraction, millis, zone = match.groups()
    if hour is None:
        return _moment(year, month, day_)
    if second is None:
        if zone is None:
            return None
        second = "00"
    return _moment(year, month, day_, hour, minute, second, fraction or millis or "", zone)


def _us_date(text: str) -> int | None:
    match = _US_DATE(text)
    return _moment(match[3], match[1], match[2]) if match is not None else None


def _weekday(text: str) -> int | None:
    # The name of the day is redundant and not compared with the date.
    match = _WEEKDAY(text)
    if match is None:
        return None
    month, day_, hour, minute, second, zone, year = match.groups()
    return _moment(year, month, day_, hour, minute, second, "", zone)


def _moment(
    year: str,
    month: str,
    day_: str,
    hour: str = "00",
    minute: str = "00",
    second: str = "00",
    fraction: str = "",
    zone: str | None = None,
) -> int | None:
    if hour > "23" or minute > "59" or second > "60" or not "0001" <= year <= _LAST_YEAR:
        return None
    try:
        days = date(int(year), int(month), int(day_)).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None
    us = days * DAY + int(hour) * HOUR + int(minute) * MINUTE + int(second) * SECOND - _offset(zone)
    if second == "60" and us % DAY != 0:
        return None
    us += int(fraction[:3].ljust(3, "0")) * MILLISECOND
    return us if EARLIEST <= us < END else None


def _offset(zone: str | None) -> int:
    match = _OFFSET(zone) if zone else None
    if match is None:
        return 0
    size = int(match[2]) * HOUR + int(match[3] or 0) * MINUTE
    return -size if match[1] == "-" else size
