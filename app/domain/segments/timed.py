"""Which segments people enter and leave by the mere passing of time."""

from typing import Final

from app.domain.segments.fields import FIELDS, Kind
from app.domain.segments.model import Definition, Filter

#: Operators that compare with the moment of the evaluation.
_RELATIVE: Final = frozenset(
    (
        *("more_than_x_days_ago", "less_than_x_days_ago", "more_than_x_hours_ago", "less_than_x_hours_ago"),
        *("in_more_than_x_days_in_the_future", "in_less_than_x_days_in_the_future", "day_of_recurring_event"),
    )
)
#: Fields whose value depends on it: an age, carts that are forgotten, sessions of the last days.
_PASSING: Final = frozenset(
    ("age", "has_open_cart", "cart_value", "cart_updated", "cart_contains_product", "median_session_duration")
)


def depends_on_time(definition: Definition) -> bool:
    """Whether somebody may be in the segment at one moment and not at another, although nothing of them changed."""
    return any(_is_timed(one) for one in definition.filters())


def _is_timed(one: Filter) -> bool:
    if FIELDS[one.field].kind == Kind.WINDOW or one.field in _PASSING or one.op in _RELATIVE:
        return True
    if any(each.op in _RELATIVE for each in one.criteria):
        return True
    return one.segment is not None and depends_on_time(one.segment)
