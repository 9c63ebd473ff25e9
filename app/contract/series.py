"""Questions about series and data points, and their answers (spec events-purchases.md 5, segments.md 6)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from app.contract.errors import RefusedError
from app.domain import series, times

MAX_LENGTH: Final = 100
#: Days of data points that one answer has: all that are kept.
MAX_DATA_POINTS: Final = series.DAYS

DAY, HOUR = "day", "hour"

BAD_LENGTH: Final = f"'length' must be an integer between 1 and {MAX_LENGTH}"
BAD_DAYS: Final = f"'length' must be an integer between 1 and {MAX_DATA_POINTS}"
BAD_UNIT: Final = "'unit' must be 'day' or 'hour'"
BAD_ENDING: Final = "'ending_at' must be a date and time"
NO_EVENT: Final = "'event' is required"

Point = tuple[int, int, int]
"""(day since 1970, or the beginning of an hour in minutes since then; count; amount)"""


@dataclass(frozen=True, slots=True)
class Question:
    """Which sums are wanted: of which series, how many days or hours, and which is the last one."""

    kind: int
    length: int
    unit: str = DAY
    #: A moment of the last day or hour; None = now.
    ending_us: int | None = None
    name: str = ""
    #: None = of all apps, and of what has none.
    app: str | None = None
    #: Only what people do who are in this segment now; None = everybody did.
    segment_id: str | None = None


def read_series(parameters: Mapping[str, str], kind: int, *, hours: bool = False, segment: bool = False) -> Question:
    """The query of a data series. Raises RefusedError(400).

    `hours`: it takes a `unit`. `segment`: it can be asked of a segment.
    """
    name = parameters.get("event" if kind == series.EVENTS else "product", "").strip()
    if kind == series.EVENTS and not name:
        raise RefusedError(400, NO_EVENT)
    if kind == series.PURCHASES and name:
        kind = series.PRODUCTS
    app = parameters.get("app_id") or None
    if app is not None:
        kind = series.OF_APPS.get(kind, kind)
    return Question(
        kind,
        _length(parameters, MAX_LENGTH, BAD_LENGTH),
        _unit(parameters) if hours else DAY,
        _ending(parameters),
        name if kind in (series.EVENTS, series.PRODUCTS) else "",
        app,
        (parameters.get("segment_id") or None) if segment else None,
    )


def read_data_points(parameters: Mapping[str, str]) -> Question:
    """The query of GET /v1/data_points: the last 30 days, unless told otherwise. Raises RefusedError(400)."""
    length = _length({"length": "30", **parameters}, MAX_DATA_POINTS, BAD_DAYS)
    return Question(series.DATA_POINTS, length, ending_us=_ending(parameters))


def _length(parameters: Mapping[str, str], most: int, refusal: str) -> int:
    length = parameters.get("length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 4 and 1 <= int(length) <= most):
        raise RefusedError(400, refusal)
    return int(length)


def _unit(parameters: Mapping[str, str]) -> str:
    unit = parameters.get("unit") or DAY
    if unit not in (DAY, HOUR):
        raise RefusedError(400, BAD_UNIT)
    return unit


def _ending(parameters: Mapping[str, str]) -> int | None:
    sent = parameters.get("ending_at", "")
    if not sent:
        return None
    # A plus sign of an offset that was not escaped arrives as a blank.
    found = times.moment(sent.replace(" ", "+") if "T" in sent else sent)
    if found is None:
        raise RefusedError(400, BAD_ENDING)
    return found


def counts(question: Question, points: Iterable[Point], member: str) -> dict[str, object]:
    """The answer of a series of counts, under the name that they have there."""
    return {"data": [{"time": time_of(question.unit, at), member: count} for at, count, _ in points]}


def revenue(question: Question, points: Iterable[Point]) -> dict[str, object]:
    """The answer of /purchases/revenue_series: US dollars."""
    return {"data": [{"time": time_of(question.unit, at), "revenue": cents / 100} for at, _, cents in points]}


def data_points(points: Iterable[Point]) -> dict[str, object]:
    """The answer of GET /v1/data_points."""
    return {
        "data": [
            {"time": time_of(DAY, at), "data_points": count, "saved_by_deltas": saved} for at, count, saved in points
        ]
    }


def time_of(unit: str, at: int) -> str:
    """A day as YYYY-MM-DD, an hour as the moment at which it began."""
    if unit == HOUR:
        return times.iso(at * times.MINUTE)
    return (date(1970, 1, 1) + timedelta(days=at)).isoformat()
