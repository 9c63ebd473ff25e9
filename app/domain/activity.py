"""The series of daily and monthly active users: who began a session on which day (spec segments.md 6).

A profile has a mark (app.domain.active_days) for each app in which it had a session, and one for all together. So a
person counts once on a day, however many sessions there are and however late they arrive.

Whoever is active counts as monthly active on that day and the 29 that follow, so days to come are booked as well. Where
two profiles become one, the days that are over keep their counts, and the days to come lose what would count twice.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from app.domain import series
from app.domain.active_days import MONTH, Mark, counts, holds, is_active, joined
from app.domain.profile import Profile
from app.domain.state import State

#: Under which the mark of all apps lies.
ALL: Final = ""


def began(state: State, profile: Profile, app_id: str, us: int) -> Iterator[tuple[str, Mark]]:
    """Count whoever began a session in an app at a moment; the marks that change, by app."""
    day, marks = series.day_of(state, us), marks_of(profile)
    for app in (ALL, app_id):
        mark = marks.get(app)
        if mark is not None and (is_active(mark, day) or not holds(mark, day)):
            continue
        daily, monthly = _kinds(app)
        series.book_day(state, daily, app, day, 1)
        for each in range(day, day + MONTH):
            if mark is None or not counts(mark, each):
                series.book_day(state, monthly, app, each, 1)
        yield app, joined(mark, [day, 1])


def regrouped(state: State, before: Iterable[Mapping[str, Mark]], after: Iterable[Mapping[str, Mark]]) -> None:
    """Correct the days to come where profiles with the marks `before` are those with the marks `after` from now on."""
    signed = [*((-1, marks) for marks in before), *((1, marks) for marks in after)]
    apps = sorted({app for _, marks in signed for app in marks})
    if not apps:
        return
    today = series.day_of(state, state.now_us)
    for app in apps:
        of_app = [(sign, marks[app]) for sign, marks in signed if app in marks]
        for day in range(today + 1, today + MONTH):
            if change := sum(sign for sign, mark in of_app if counts(mark, day)):
                series.book_day(state, _kinds(app)[1], app, day, change)


def marks_of(profile: Profile) -> dict[str, Mark]:
    """The marks of a profile, by app."""
    section: dict[str, Any] = profile.devices or {}
    return dict(section.get("active", {}))


def _kinds(app: str) -> tuple[int, int]:
    if app == ALL:
        return series.DAILY_ACTIVE, series.MONTHLY_ACTIVE
    return series.DAILY_ACTIVE_IN_APP, series.MONTHLY_ACTIVE_IN_APP
