"""Times among the properties of an occurrence, which are kept as they were sent: texts in any format of the contract.

SQL compares those of the usual form, `2026-03-10T09:30:00.5Z`, which texts do as times do. It narrows down the others,
and Python reads them.
"""

from typing import Final

from sqlalchemy import and_, func, or_

from app.domain import times
from app.store.segments.leaves import Expression, Leaf, given

#: A day that every year has; the fraction may have any length.
_USUAL: Final = (
    r"^[12][0-9]{3}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z$"
)
_SHAPE: Final = "[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]*Z"
#: The other formats: each with the day at another place.
_ISO, _US, _WEEKDAY = "____-__-__%", "__/__/____", "___ __ __ __:__:__.%"
#: No zone is further from UTC.
_FURTHEST: Final = 2 * times.DAY


def text_of(leaf: Leaf) -> Expression:
    """The text that may be a time: the value itself, or that of a `$time`."""
    return func.coalesce(given(leaf.text), given(leaf.iso))


def is_usual(text: Expression, *, postgresql: bool) -> Expression:
    """Whether a text is a time of the usual form."""
    if postgresql:
        return text.regexp_match(_USUAL)
    # A day that is no day, such as 30 February, becomes another one when days are added to it.
    day, fraction = func.substr(text, 1, 10), func.substr(text, 20, func.length(text) - 20)
    digits = and_(fraction.like(".%"), func.length(fraction) > 1, ~func.substr(fraction, 2).bool_op("glob")("*[^0-9]*"))
    return and_(
        text.bool_op("glob")(_SHAPE),
        func.date(day, "+0 days") == day,
        func.substr(text, 12, 2) < "24",
        or_(fraction == "", digits),
    )


def lies(text: Expression, first: int, last: int) -> Expression:
    """Whether a time of the usual form lies between two."""
    moment = func.substr(text, 1, func.length(text) - 1)
    start = -(-first // times.MILLISECOND) * times.MILLISECOND
    end = (last // times.MILLISECOND + 1) * times.MILLISECOND
    return and_(moment >= _shortest(start), moment < _shortest(end))


def may_lie(text: Expression, first: int, last: int) -> Expression:
    """Whether a text that may be a time may lie between two."""
    conditions: list[Expression] = [text.like(_ISO)]
    if first > times.EARLIEST + _FURTHEST:
        conditions.append(func.substr(text, 1, 10) >= times.iso(first - _FURTHEST)[:10])
    if last < times.END - _FURTHEST:
        conditions.append(func.substr(text, 1, 10) <= times.iso(last + _FURTHEST)[:10])
    return or_(and_(*conditions), text.like(_US), text.like(_WEEKDAY))


def may_recur(text: Expression, days: list[str]) -> Expression:
    """Whether a text that may be a time may fall on one of these days, MM-DD."""
    return or_(and_(text.like(_ISO), func.substr(text, 6, 5).in_(days)), text.like(_US), text.like(_WEEKDAY))


def _shortest(us: int) -> str:
    """As short as it can be written, so that it stands in front of all that is the same or later."""
    return times.iso(us)[:-1].rstrip("0").rstrip(".")
