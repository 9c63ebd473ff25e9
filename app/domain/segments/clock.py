"""What days and dates mean at one instant: intervals of microseconds, both ends included (spec segments.md 3)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from fractions import Fraction
from typing import Final

from app.domain import times
from app.domain.segments.model import Value

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: No stored time lies outside of these.
EARLIEST: Final = times.EARLIEST
LATEST: Final = times.END - 1

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clock:
    """The instant of an evaluation, and the company's time zone (DECISIONS D75)."""

    now_us: int
    zone: tzinfo

    def interval(self, op: str, value: Value) -> Interval:
        """The times that an operator on times wants. It is empty when its first end is behind the second."""
        now = self.now_us
        if op in ("before", "after"):
            at = self.instant(str(value))
            return _cut(EARLIEST, at - 1) if op == "before" else _cut(at + 1, LATEST)
        unit = times.HOUR if "hours" in op else times.DAY
        span = int(Fraction(str(value)) * unit)
        if op.startswith("in_more_than"):
            return _cut(now + span + 1, LATEST)
        if op.startswith("in_less_than"):
            return _cut(now + 1, now + span)
        return _cut(EARLIEST, now - span - 1) if op.startswith("more_than") else _cut(now - span, now)

    def instant(self, text: str) -> int:
        """The moment that a filter names: a bare date is its midnight in the company's time zone.

        A midnight that the clocks leap over is the first moment after it.
        """
        if len(text) == len("YYYY-MM-DD"):
            day = date.fromisoformat(text)
            try:
                local = datetime(day.year, day.month, day.day, tzinfo=self.zone)
                return (local.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
            except OverflowError:
                return EARLIEST if day.year < 2000 else LATEST
        us = times.moment(text)
        return LATEST if us is None else us

    def window(self, days: int) -> Interval:
        """From 00:00 UTC of the day that is `days` before today, up to now (D36)."""
        return (self.now_us // times.DAY - days) * times.DAY, self.now_us

    def days(self, op: str, value: Value) -> tuple[str, str]:
        """The days, YYYY-MM-DD, whose midnights an operator on times wants: behind the first, up to the second."""
        first, last = self.interval(op, value)
        if first > last:
            return "9999", ""
        return "" if first <= EARLIEST else self.local(first - 1).isoformat(), self.local(last).isoformat()

    @property
    def today(self) -> date:
        """The day in the company's time zone."""
        return self.local(self.now_us)

    def local(self, us: int) -> date:
        """The company's day of a moment. Raises nothing: at the ends of the calendar it is the UTC day."""
        moment = _EPOCH + timedelta(microseconds=us)
        try:
            return moment.astimezone(self.zone).date()
        except OverflowError:
            return moment.date()

    def recurring(self, value: Value) -> frozenset[str]:
        """The days of the year, MM-DD, that fall on the day that a filter wants: 29 February counts on 1 March too in a
        year that has none."""
        today = self.today
        if isinstance(value, str):
            month_day, year = value, today.year
        else:
            wanted = date.fromordinal(min(max(today.toordinal() + int(value or 0), 1), date.max.toordinal()))  # type: ignore[arg-type]
            month_day, year = f"{wanted.month:02d}-{wanted.day:02d}", wanted.year
        if month_day == "03-01" and not _is_leap(year):
            return frozenset(("02-29", "03-01"))
        return frozenset((month_day,))


def neighbours(days: frozenset[str]) -> frozenset[str]:
    """The days, MM-DD, with those before and behind them: what a day may be called in another time zone."""
    return frozenset(near for day in days for near in _near(day))


def _near(month_day: str) -> Iterator[str]:
    yield month_day
    for year in (2000, 2001):
        try:
            day = date.fromisoformat(f"{year}-{month_day}")
        except ValueError:
            continue
        for step in (-1, 1):
            other = day + timedelta(days=step)
            yield f"{other.month:02d}-{other.day:02d}"


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _cut(first: int, last: int) -> Interval:
    return max(first, EARLIEST), min(last, LATEST)
