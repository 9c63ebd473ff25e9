"""What a custom attribute holds and what one update makes of it (attributes.md, sections 1, 5 and 6).

A stored value is JSON: bool, int of 64 bits, finite float, str, list, dict. A time is `{"$time": "<ISO, ms, Z>"}`;
since no key may contain `$`, such a tag cannot be confused with an object.

Numbers are kept in the form of app.domain.numbers, which every store gives back alike.

Where the contract is silent:

* 1 equals 1.0, because JSON has one type of numbers and jsonb compares them so; true equals only true, "1" only "1".
* A misshapen operation (`{"add": "x"}`, `{"inc": 1.5}`) drops the update; stored as an object it would destroy the
  value that it was meant to change. `{"inc": 1, "add": []}` is no operation but an object.
* Beside `$add`, `$remove` or `$update`, other members and nulls are left out and named: RudderStack sends `add` too.
* Operations on arrays take any array, also one with both scalars and objects. An array of scalars may hold times.
* `add` evicts before `remove` removes: the two follow each other.
* With nulls as deletions a null member of a new object is left out. All other nulls inside an object or an array of
  objects are left out and named (D62), those in `$update` too, which cannot drop keys. A null in an array of scalars is
  invalid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from app.domain import arrays, nested_nulls, numbers, objects, times
from app.domain.reasons import PROFILE_FULL, TOO_MUCH_WORK
from app.domain.values import (
    MAX_CHARACTERS,
    MISSING,
    OUT_OF_RANGE,
    TIME,
    InvalidError,
    Missing,
    OutOfRange,
    checked_number,
    checked_object,
    checked_time,
    fitting,
    invalid,
    is_object,
    is_storable,
)
from app.domain.work import TooMuchWorkError, Work

MAX_INT: Final = numbers.MAX_INT

#: The only attributes whose names begin with `$`: a person's consent, true or false (DECISIONS D55).
CONSENTS: Final = frozenset(("$google_ad_user_data", "$google_ad_personalization"))

__all__ = [
    "CONSENTS",
    "MAX_CHARACTERS",
    "MISSING",
    "OUT_OF_RANGE",
    "REASONS",
    "TIME",
    "UNSET",
    "Missing",
    "Options",
    "OutOfRange",
    "Skip",
    "Unset",
    "exported",
    "text",
    "updated",
    "valid_name",
]

#: Every reason of a Skip. They label counters and problem rows: add, but do not rename.
REASONS: Final = (
    "value_too_long",  # a string of more than 255 characters
    "value_out_of_range",  # a number that does not fit 64 bits, or a sum of ±2^63 and beyond
    "value_too_large",  # an array or object of more than 100 KB, or more `$update` work than MAX_UPDATE_WORK
    "invalid_text",  # NUL or half a surrogate pair: no store keeps them
    "invalid_time",  # `$time` without a time, or beside other keys
    "invalid_key",  # a key that is empty, too long, or contains a blank, `.` or `$`
    "invalid_operation",  # an operator with unknown or missing parts
    "invalid_nested_value",  # an object where a scalar is due, or the reverse
    "nested_array",  # an array directly inside an array
    "nested_null",  # a null inside a value where it does not mean deletion
    "too_deep",
    "not_an_integer",  # the operand of `inc`
    "not_a_number",  # `inc` on a value of another type
    "not_an_array",  # an array operation on a value of another type, or with an operand of another type
    "attribute_missing",  # removing from, or updating inside, an attribute that does not exist
    PROFILE_FULL,  # the profile may not become larger
    TOO_MUCH_WORK,  # the request has used up the steps of app.domain.work
)


class Unset:
    """The type of UNSET: the attribute is to be deleted."""

    __slots__ = ()


UNSET: Final = Unset()


@dataclass(frozen=True, slots=True)
class Skip:
    """The attribute is not updated; `reason` is one of REASONS."""

    reason: str


@dataclass(frozen=True, slots=True)
class Options:
    merge_objects: bool = False  # the request's `_merge_objects`
    array_max: int = 500  # elements of an array of scalars
    nested_null_deletes: bool = True  # DECISIONS D15; False: a nested null is left out in a merge too

    @property
    def drop_nulls(self) -> bool:
        return self.merge_objects and self.nested_null_deletes


def valid_name(name: str) -> str | None:
    """The name without blanks around it, or None when an attribute of that name is ignored (section 1)."""
    name = name.strip()
    if not name or len(name) > MAX_CHARACTERS or not is_storable(name):
        return None
    return None if name[0] == "$" and name not in CONSENTS else name


def updated(
    current: object,
    raw: object,
    options: Options,
    work: Work | None = None,
    left_out: list[tuple[str, str]] | None = None,
) -> object | Skip | Unset:
    """The new stored value; UNSET to delete the attribute; a Skip when it stays as it is.

    Where parts of `raw` were left out and the rest has its effect, `left_out` gets (path inside the value, reason).

    `current` is the stored value or MISSING, `raw` any JSON value with OUT_OF_RANGE among its numbers. Neither is
    mutated, but for a `current` that is a draft of `work`, the steps that the request has left: that one is changed and
    returned. The result may share parts with both. Never raises.
    """
    if isinstance(raw, str):
        if len(raw) > MAX_CHARACTERS:
            return Skip("value_too_long")
        moment = times.normal(raw)
        return text(raw) if moment is None else {TIME: moment}
    # The common numbers, and with them the booleans, need no closer look.
    if (isinstance(raw, int) and -MAX_INT <= raw <= MAX_INT) or (isinstance(raw, float) and 1e-100 <= abs(raw) < 1e15):
        return raw
    if raw is None:
        return UNSET
    parts: list[tuple[str, str]] = []
    try:
        if isinstance(raw, dict):
            value = _from_object(current, raw, options, Work() if work is None else work, parts)
        elif isinstance(raw, list):
            value = _without_nulls(
                lambda elements: arrays.array(elements, options.array_max, drop_nulls=options.drop_nulls),
                raw,
                options,
                parts,
            )
        else:
            return checked_number(raw)
    except InvalidError as error:
        return Skip(error.reason)
    except TooMuchWorkError:
        return Skip(TOO_MUCH_WORK)
    if left_out is not None:
        left_out += parts
    return value


def number_updated(current: object, raw: object) -> int | None:
    """As `updated`, of a stored number or boolean that most updates change: by another whole number or boolean, or by
    an increment of a whole number. None when it is another update, or one that has no effect."""
    kind = type(raw)
    if kind is int or kind is bool:
        return raw if -MAX_INT <= raw <= MAX_INT else None  # type: ignore[operator, return-value]
    if kind is dict and len(raw) == 1 and type(current) is int:  # type: ignore[arg-type]
        by = raw.get("inc")  # type: ignore[attr-defined]
        if type(by) is int and -MAX_INT <= by <= MAX_INT and -MAX_INT <= current + by <= MAX_INT:
            return current + by
    return None


def text(raw: str) -> str | Skip:
    """The stored form of a string that is to stay one, whatever it looks like."""
    if len(raw) > MAX_CHARACTERS:
        return Skip("value_too_long")
    return raw if is_storable(raw) else Skip("invalid_text")


def exported(value: object) -> object:
    """The stored value as exports show it: times are plain ISO strings, at any depth."""
    if isinstance(value, dict):
        return value[TIME] if TIME in value else {key: exported(member) for key, member in value.items()}
    if isinstance(value, list):
        return [exported(element) for element in value]
    return value


def _from_object(
    current: object, raw: dict[str, object], options: Options, work: Work, parts: list[tuple[str, str]]
) -> object:
    keys = raw.keys()
    if TIME in keys:
        return checked_time(raw)
    if keys == {"inc"}:
        return _incremented(current, raw["inc"])
    if keys and keys <= {"add", "remove"}:
        return arrays.added_and_removed(current, raw, options.array_max, work)
    if not keys.isdisjoint(arrays.OPERATORS):
        return _without_nulls(
            lambda operation: arrays.changed_objects(
                current, operation, work, merge_objects=options.merge_objects, drop_nulls=options.drop_nulls
            ),
            _operators(raw, parts),
            options,
            parts,
        )
    return _without_nulls(lambda new: _object(current, new, options, work), raw, options, parts)


def _operators(raw: dict[str, object], parts: list[tuple[str, str]]) -> dict[str, object]:
    """The operators among the members, at least one; the others are left out."""
    known: dict[str, object] = {}
    for key, value in raw.items():
        if key not in arrays.OPERATORS:
            parts.append((key, "invalid_operation"))
        elif value is None:
            parts.append((key, "nested_null"))
        else:
            known[key] = value
    return known or invalid("not_an_array")


def _object(current: object, raw: dict[str, object], options: Options, work: Work) -> dict[str, Any]:
    if options.merge_objects and is_object(current):
        return objects.merge(current, raw, work, drop_nulls=options.drop_nulls)
    return fitting(checked_object(raw, 1, drop_nulls=options.drop_nulls))


def _without_nulls(
    made: Callable[[Any], object], raw: object, options: Options, parts: list[tuple[str, str]]
) -> object:
    """What is made of a value, once more without its nulls where they do not delete; those are left out.

    Most values have none, so they are looked for only after a null was met. Nothing was changed then.
    """
    try:
        return made(raw)
    except InvalidError as error:
        if error.reason != "nested_null":
            raise
        rest, paths = nested_nulls.left_out(raw, members=not options.drop_nulls)
        if not paths:
            raise
        value = made(rest)
        parts += [(".".join(path), "nested_null") for path in paths]
        return value


def _incremented(current: object, by: object) -> int | float:
    if isinstance(by, float) and by.is_integer():  # 1.0 and 2e0 are integers (D64)
        by = int(by)
    if isinstance(by, bool) or not isinstance(by, int | OutOfRange):
        invalid("not_an_integer")
    number = 0 if current is MISSING else current
    if isinstance(number, bool) or not isinstance(number, int | float):
        invalid("not_a_number")
    total = checked_number(number + int(checked_number(by)))
    if total == -MAX_INT - 1:  # section 5.2 draws the line at ±(2^63 - 1)
        invalid("value_out_of_range")
    return total
