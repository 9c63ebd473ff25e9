"""What an operator makes of one value of a person (spec segments.md 2 and 4.2).

A value is what a profile stores, a `Moment`, or MISSING. A value of another type than the operator compares is unequal
to everything: so it matches `does_not_equal` and `is_none_of`, and is neither more nor less than any number.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import eq, ge, gt, lt
from typing import Any, Final

from app.domain import times
from app.domain.segments.clock import Clock
from app.domain.segments.model import ANY_ELEMENT, Value
from app.domain.values import MISSING, TIME

#: Makes the test of a pattern: whether it is found anywhere in a text, without regard to case. Never raises for a
#: pattern that was checked when its segment was made.
Matcher = Callable[[str], Callable[[str], bool]]


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of a profile, in microseconds."""

    us: int


@dataclass(frozen=True, slots=True)
class Comparing:
    """What comparisons need besides their operands."""

    clock: Clock
    matcher: Matcher
    #: A text in one of the contract's formats is a time as well: properties are kept as they were sent.
    texts_are_times: bool = False


def holds(how: Comparing, op: str, operand: Value, stored: object) -> bool:
    """Whether the value matches. `op` is one of app.domain.segments.fields, but none of those for whole filters."""
    value = MISSING if stored is None else _plain(stored)
    simple = _SIMPLE.get(op)
    if simple is not None:
        return simple(value)
    if op in _NUMBERS:
        return number_holds(op, operand, value)
    if op in _TEXTS:
        return _TEXTS[op](value, operand)
    if op in _ARRAYS:
        return _ARRAYS[op](value if isinstance(value, list) else (), operand)
    if op == "does_not_equal":
        return not (same_text(value, operand) if isinstance(operand, str) else _is_number(value) and value == operand)
    if op in ("matches_regex", "does_not_match_regex"):
        return _matches(how.matcher(str(operand)), value, op == "matches_regex")
    us = _moment(value, how)
    if us is None:
        return False
    if op == "day_of_recurring_event":
        return recurs(how.clock, us, operand)
    first, last = how.clock.interval(op, operand)
    return first <= us <= last


def at(document: object, path: tuple[str, ...]) -> list[object]:
    """What lies at a path: one value, or one for each element of the array that `[]` stands for.

    Where that array is missing or has no elements, the one value is MISSING.
    """
    values = [document]
    for step in path:
        if step == ANY_ELEMENT:
            values = [element for value in values if isinstance(value, list) for element in value] or [MISSING]
        else:
            values = [value.get(step, MISSING) if isinstance(value, dict) else MISSING for value in values]
    return values


def number_holds(op: str, operand: Any, value: object) -> bool:
    """Whether a number matches; a missing one counts as less than all, and as exactly 0."""
    if value is MISSING:
        return op == "less_than" or (op == "exactly" and operand == 0)
    if not _is_number(value):
        return False
    return _COMPARE[op](value, operand)


def folded(text: str) -> str:
    """The text without regard to case: letter by letter, and none that is not ASCII becomes one that is.

    So both databases agree about ASCII without knowing any other letter.
    """
    if text.isascii():
        return text.lower()
    return "".join(_folded(letter) for letter in text)


def same_text(value: object, operand: object) -> bool:
    """Whether both are the same text but for case."""
    return isinstance(value, str) and folded(value) == folded(str(operand))


def _folded(letter: str) -> str:
    lower = letter.lower()
    return lower if len(lower) == 1 and lower.isascii() == letter.isascii() else letter


def _plain(value: object) -> object:
    text = value.get(TIME) if isinstance(value, dict) else None
    us = times.parse(text) if isinstance(text, str) else None
    return value if us is None else Moment(us)


def _moment(value: object, how: Comparing) -> int | None:
    if isinstance(value, Moment):
        return value.us
    return times.parse(value) if how.texts_are_times and isinstance(value, str) else None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Fraction)) and not isinstance(value, bool)


def _is_blank(value: object) -> bool:
    return value is MISSING or value == ""


def _is_empty(value: object) -> bool:
    return value is MISSING or value == []


_SIMPLE: Final[dict[str, Callable[[object], bool]]] = {
    "is_blank": _is_blank,
    "is_not_blank": lambda value: not _is_blank(value),
    "is_true": lambda value: value is True,
    "is_false": lambda value: value is False,
    "is_true_or_not_set": lambda value: value is True or value is MISSING,
    "is_false_or_not_set": lambda value: value is False or value is MISSING,
    "is_empty": _is_empty,
    "has_a_value": lambda value: not _is_empty(value),
}
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "exactly": eq,
    "more_than": gt,
    "at_least": ge,
    "less_than": lt,
}
_NUMBERS: Final = frozenset(_COMPARE)


def _is_any(value: object, operand: Any) -> bool:
    return isinstance(value, str) and value in operand


def _contains_any(value: object, operand: Any) -> bool:
    return isinstance(value, str) and any(part in value for part in operand)


_TEXTS: Final[dict[str, Callable[[object, Any], bool]]] = {
    "equals": lambda value, operand: isinstance(value, str) and value == operand,
    "is_any_of": _is_any,
    "is_none_of": lambda value, operand: not _is_any(value, operand),
    "contains_any_of": _contains_any,
    "contains_none_of": lambda value, operand: not _contains_any(value, operand),
}


def _includes(array: Sequence[object], wanted: object) -> bool:
    """1 is 1.0, and true is only true."""
    if isinstance(wanted, bool):
        return any(element is wanted for element in array)
    return any(element == wanted and not isinstance(element, bool) for element in array)


def _includes_any(array: Sequence[object], operand: Any) -> bool:
    return any(_includes(array, wanted) for wanted in operand)


def _values_contain(array: Sequence[object], operand: Any) -> bool:
    return any(_contains_any(element, operand) for element in array)


def _is_all(array: Sequence[object], operand: Any) -> bool:
    return all(_includes(array, wanted) for wanted in operand)


#: They get the elements; what is no array has none.
_ARRAYS: Final[dict[str, Callable[[Sequence[object], Any], bool]]] = {
    "includes_value": _includes,
    "does_not_include": lambda array, operand: not _includes(array, operand),
    "includes_any_of": _includes_any,
    "includes_none_of": lambda array, operand: not _includes_any(array, operand),
    "values_contain_any": _values_contain,
    "values_contain_none": lambda array, operand: not _values_contain(array, operand),
    "is_all_of": _is_all,
    "is_not_all_of": lambda array, operand: not _is_all(array, operand),
}


def _matches(found: Callable[[str], bool], value: object, wanted: bool) -> bool:
    """A text, or any text of an array. Only who has one can match in vain."""
    texts = [element for element in (value if isinstance(value, list) else [value]) if isinstance(element, str)]
    return bool(texts) and any(map(found, texts)) is wanted


def recurs(clock: Clock, us: int, operand: Value) -> bool:
    """Whether a time falls on the wanted day of the year."""
    day = clock.local(us)
    return f"{day.month:02d}-{day.day:02d}" in clock.recurring(operand)


def day_holds(clock: Clock, op: str, operand: Value, day: object) -> bool:
    """Whether a day of birth, YYYY-MM-DD, matches an operator on times: its midnight in the company's time zone."""
    if not isinstance(day, str):
        return False
    if op == "day_of_recurring_event":
        return day[5:] in clock.recurring(operand)
    behind, until = clock.days(op, operand)
    return behind < day <= until
