"""Versions of apps, compared by their numbers: 1.10 is more than 1.9, and 1.2 is 1.2.0 (spec segments.md 4.7)."""

import re
from collections.abc import Callable
from operator import eq, ge, gt, lt, ne
from typing import Any, Final

from app.domain.values import MISSING

Version = tuple[int, ...]

#: What a version begins with; whatever stands behind the numbers does not count.
_NUMBERS: Final = re.compile(r"\s*[vV]?([0-9]{1,18}(?:\.[0-9]{1,18}){0,15})").match
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "exactly": eq,
    "does_not_equal": ne,
    "more_than": gt,
    "at_least": ge,
    "less_than": lt,
}


def parse(text: object) -> Version | None:
    """The numbers of a version without zeros at their end; None for what begins with no number."""
    found = _NUMBERS(text) if isinstance(text, str) else None
    if found is None:
        return None
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def holds(op: str, wanted: str, stored: object) -> bool:
    """Whether a version matches. Who has none has less than any, and what is none only differs."""
    if stored is MISSING or stored is None:
        return op in ("less_than", "does_not_equal")
    version = parse(stored)
    if version is None:
        return op == "does_not_equal"
    return _COMPARE[op](version, parse(wanted))
