"""Rates of a workspace as administrators see and change them: /v1/rates. Endpoints of our own (DECISIONS D69)."""

import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

from app.contract import elements, locales
from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.domain import money, times
from app.domain.settings import ApplySettings

#: Fixed rates of a currency, and currencies that have any: every batch reads them all.
MAX_PER_CURRENCY: Final = 50
MAX_CURRENCIES: Final = 400
#: Rates of one request.
MAX_RATES: Final = 1_000

BAD_BODY: Final = f"The body must be an object of 'rates', an array of 1 to {MAX_RATES} objects of currency, usd, from"
BAD_RATE: Final = (
    "'rates[%d]' must have a known 'currency' other than USD, 'usd', a decimal number above 0 with at most 15 digits"
    " before and 18 behind the point or null, and 'from', a day as YYYY-MM-DD"
)
TOO_MANY: Final = f"At most {MAX_PER_CURRENCY} rates of a currency, and {MAX_CURRENCIES} currencies"
BAD_CURSOR: Final = "The body must be empty, or an object of 'cursor', the next_cursor of another answer"

_DECIMAL: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,18})?")
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH: Final = date(1970, 1, 1).toordinal()

Rates = dict[str, list[Any]]
"""{currency: [[first day, decimal text or None to take it away], …]}"""


def read_change(body: bytes) -> Rates:
    """What a body of PUT /v1/rates changes. Raises RefusedError(400)."""
    document = parse_object(body)
    rates = None if document is None or unsound(document) is not None else document.get("rates")
    if (
        document is None
        or document.keys() != {"rates"}
        or not isinstance(rates, list)
        or not 0 < len(rates) <= MAX_RATES
    ):
        raise elements.refused(BAD_BODY, document)
    changes: dict[str, dict[int, str | None]] = {}
    for index, sent in enumerate(rates):
        read = rate(sent)
        if read is None:
            raise elements.refused(BAD_RATE % index, sent)
        currency, day, text = read
        changes.setdefault(currency, {})[day] = text
    return {currency: [[day, text] for day, text in days.items()] for currency, days in changes.items()}


def rate(sent: object) -> tuple[str, int, str | None] | None:
    """(currency, first day, USD for one unit as text, None to take it away) of one rate; None when it is malformed."""
    if not isinstance(sent, dict) or sent.keys() != {"currency", "usd", "from"}:
        return None
    currency, day, usd = sent["currency"], sent["from"], sent["usd"]
    known = locales.currency(currency.strip().upper()) if isinstance(currency, str) else None
    if known is None or known == money.USD or not isinstance(day, str) or not _DAY.fullmatch(day):
        return None
    try:
        first = date.fromisoformat(day).toordinal() - _EPOCH
    except ValueError:
        return None
    if usd is None:
        return known, first, None
    if isinstance(usd, bool) or not isinstance(usd, (str, int, float)):
        return None
    text = format(Decimal(repr(usd)), "f") if isinstance(usd, float) else str(usd)
    return (known, first, money.text(Decimal(text))) if _DECIMAL.fullmatch(text) and Decimal(text) else None


def check_bounds(change: Rates, settings: ApplySettings) -> None:
    """Raises RefusedError(400) when there would be too many rates."""
    after = {currency: dict(entries) for currency, entries in settings.fixed_rates.items()}
    for currency, entries in change.items():
        after.setdefault(currency, {}).update(dict(entries))
    counts = [sum(text is not None for text in days.values()) for days in after.values()]
    if max(counts, default=0) > MAX_PER_CURRENCY or sum(count > 0 for count in counts) > MAX_CURRENCIES:
        raise RefusedError(400, TOO_MANY)


def listing(settings: ApplySettings) -> dict[str, object]:
    """The answer of GET and PUT /v1/rates."""
    until = settings.rates_until
    return {
        "rates_until": None if until is None else day_text(until),
        "fixed": [
            {"currency": currency, "usd": text, "from": day_text(day)}
            for currency, entries in sorted(settings.fixed_rates.items())
            for day, text in sorted(entries)
        ],
    }


def day_text(day: int) -> str:
    """A day, counted from 1970-01-01, as YYYY-MM-DD."""
    return times.iso(day * times.DAY)[:10] if day >= 0 else date.fromordinal(day + _EPOCH).isoformat()


def read_cursor(body: bytes) -> int:
    """Behind which profile POST /v1/rates/book goes on; 0 = at the first. Raises RefusedError(400)."""
    document = parse_object(body) if body.strip() else {}
    cursor = None if document is None or document.keys() - {"cursor"} else document.get("cursor", "0")
    if not isinstance(cursor, str) or not re.fullmatch(r"-?[0-9]{1,18}", cursor):
        raise elements.refused(BAD_CURSOR, document)
    return int(cursor)
