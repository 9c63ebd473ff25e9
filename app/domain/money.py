"""Money in US cents: exact decimal amounts, and the rate that counts on a day (DECISIONS D69).

Two kinds of rates are in force. Fixed ones are settings of the workspace, each valid from a day on; they go first.
Reference rates are a table that comes with the software. A setting says up to which day the table is in force, since a
newer table knows days that an older one did not: so a redo and the reference meet the rates of the first time.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Final

from app.domain import times
from app.domain.numbers import clamped

USD: Final = "USD"
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_UP)

ReferenceRates = Callable[[str, int], Decimal | None]
"""(currency, day) -> USD for one unit by the reference rates of the day or the nearest one before; None = no rate.

Days count from 1970-01-01. The same question always has the same answer, whatever version of the table is asked.
"""


def no_reference_rates(_currency: str, _day: int) -> Decimal | None:
    """No table at hand."""
    return None


def rate(
    currency: str, day: int, fixed: Mapping[str, Sequence[Sequence[Any]]], until: int | None, table: ReferenceRates
) -> Decimal | None:
    """USD for one unit of a currency on a day; None when nobody knows.

    `fixed` is {currency: [[first day, decimal text], …]}, in any order. `until`: the last day of the table that is in
    force, None for no table.
    """
    valid = [(first, text) for first, text in fixed.get(currency, ()) if first <= day]
    if valid:
        return Decimal(max(valid)[1])
    if currency == USD:
        return Decimal(1)
    return None if until is None else table(currency, min(day, until))


def cents(amount: Decimal, usd: Decimal) -> int:
    """An amount in US cents at a rate, half up, within what a total can hold."""
    exact = _CONTEXT.multiply(_CONTEXT.multiply(amount, usd), Decimal(100))
    return clamped(int(exact.to_integral_value(ROUND_HALF_UP)))


def text(amount: Decimal) -> str:
    """The amount as it is stored: decimal digits without exponent."""
    return format(amount.normalize(_CONTEXT), "f")


def day_of(us: int) -> int:
    """The day of a moment, in UTC: reference rates are published by calendar day."""
    return us // times.DAY
