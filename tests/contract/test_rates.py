"""Bounds of fixed rates: of a currency, and of all currencies together."""

from typing import Any

import pytest

from app.contract import rates
from app.contract.errors import RefusedError
from app.contract.rates import MAX_CURRENCIES, MAX_PER_CURRENCY
from app.domain.settings import ApplySettings


def refused(change: dict[str, list[Any]], has: dict[str, list[Any]]) -> bool:
    try:
        rates.check_bounds(change, ApplySettings(fixed_rates=has))
    except RefusedError as error:
        return (error.status, error.message) == (400, rates.TOO_MANY)
    return False


def test_so_many_currencies() -> None:
    full = {f"C{number:03d}": [[0, "1"]] for number in range(MAX_CURRENCIES)}
    assert not refused({"C000": [[1, "2"]]}, full)
    assert refused({"EUR": [[0, "1"]]}, full)
    assert not refused({"EUR": [[0, "1"]], "C000": [[0, None]]}, full)  # one goes, another one comes
    assert refused(full | {"EUR": [[0, "1"]]}, {})
    assert not refused({"EUR": [[0, None]]}, full)


@pytest.mark.parametrize("days", [MAX_PER_CURRENCY, MAX_PER_CURRENCY + 1])
def test_so_many_days_of_a_currency(days: int) -> None:
    change = {"EUR": [[day, "1"] for day in range(days)]}
    assert refused(change, {}) == (days > MAX_PER_CURRENCY)
    assert refused({"EUR": [[days, "1"]]}, change) == (days >= MAX_PER_CURRENCY)
    assert refused({"EUR": [[days, "1"], [0, None]]}, change) == (days > MAX_PER_CURRENCY)
