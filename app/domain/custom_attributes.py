"""What a custom attribute holds and what one update makes of it (attributes.md, sections 1, 5 and 6).

A stored value is JSON: bool, int of 64 bits, finite float, str, list, dict. A time is `{"$time": "<ISO, ms, Z>"}`;
since no key may contain `$`, such a tag cannot be confused with an object.

Numbers are kept in the form of app.domain.numbers, which every store gives back alike.

Where the contract is silent:

* 1 equals 1.0, because JSON has one type of numbers and jsonb compares them so; true equals only true, "1" only "1".
* A misshapen operation (`{"add": "x"}`, `{"inc": 1.0}`, `{"$add": [], "x": 1}`) drops the update; stored as an object
  it would destroy the value that it was meant to change. `{"inc": 1, "add": []}` is no operation but an object.
* Operations on arrays take any array, also one with both scalars and objects. An array of scalars may hold times.
* `add` evicts before `remove` removes: the two follow each other.
* With nulls as deletions a null member of a new object is left out. A null element of an array is always invalid, and
  so is a null in `$update`, which cannot drop keys.

The file is long because the operations share one walk over nested values, and the limits belong to that walk.
"""

import json
from dataclasses import dataclass
from typing import Final, NoReturn, TypeGuard, TypeVar

from app.domain import numbers, times

MAX_CHARACTERS: Final = 255
MAX_BYTES: Final = 100 * 1024  # of an array or object, as compact JSON in UTF-8
MAX_DEPTH: Final = 16  # more is refused at the door; here it only keeps recursion finite
MAX_INT: Final = numbers.MAX_INT
#: Elements times `$update` entries. A 4 MB request could otherwise ask for 10^9 comparisons.
MAX_UPDATE_WORK: Final = 500_000

TIME: Final = "$time"

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
)


class Missing:
    """The type of MISSING: the profile has no such attribute."""

    __slots__ = ()


class Unset:
    """The type of UNSET: the attribute is to be deleted."""

    __slots__ = ()


class OutOfRange:
    """The type of OUT_OF_RANGE: what the parser puts where the JSON has a number that it cannot hold."""

    __slots__ = ()


MISSING: Final = Missing()
UNSET: Final = Unset()
OUT_OF_RANGE: Final = OutOfRange()


@dataclass(frozen=True, slots=True)
class Skip:
    """The attribute is not updated; `reason` is one of REASONS."""

    reason: str


@dataclass(frozen=True, slots=True)
class Options:
    merge_objects: bool = False  # the request's `_merge_objects`
    array_max: int = 500  # elements of an array of scalars
    nested_null_deletes: bool = True  # DECISIONS D15; False: a nested null always drops the update

    @property
    def drop_nulls(self) -> bool:
        return self.merge_objects and self.nested_null_deletes


class _InvalidError(Exception):
    """One invalid value anywhere drops the whole update (section 6.4)."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _invalid(reason: str) -> NoReturn:
    raise _InvalidError(reason)


def valid_name(name: str) -> str | None:
    """The name without blanks around it, or None when an attribute of that name is ignored (section 1)."""
    name = name.strip()
    if not name or len(name) > MAX_CHARACTERS or name[0] == "$" or not _is_storable(name):
        return None
    return name


def updated(current: object, raw: object, options: Options) -> object | Skip | Unset:
    """The new stored value; UNSET to delete the attribute; a Skip when it stays as it is.

    `current` is the stored value or MISSING, `raw` any JSON value with OUT_OF_RANGE among its numbers. Neither is
    mutated; the result may share parts with both. Never raises.
    """
    if isinstance(raw, str):
        if len(raw) > MAX_CHARACTERS:
            return Skip("value_too_long")
        us = times.parse(raw)
        if us is not None:
            return {TIME: times.iso(us)}
        return text(raw)
    # The common numbers, and with them the booleans, need no closer look.
    if (isinstance(raw, int) and -MAX_INT <= raw <= MAX_INT) or (isinstance(raw, float) and 1e-100 <= abs(raw) < 1e15):
        return raw
    if raw is None:
        return UNSET
    try:
        if isinstance(raw, dict):
            return _from_object(current, raw, options)
        if isinstance(raw, list):
            return _array(raw, options)
        return _number(raw)
    except _InvalidError as error:
        return Skip(error.reason)


def text(raw: str) -> str | Skip:
    """The stored form of a string that is to stay one, whatever it looks like."""
    if len(raw) > MAX_CHARACTERS:
        return Skip("value_too_long")
    return raw if _is_storable(raw) else Skip("invalid_text")


def exported(value: object) -> object:
    """The stored value as exports show it: times are plain ISO strings, at any depth."""
    if isinstance(value, dict):
        return value[TIME] if TIME in value else {key: exported(member) for key, member in value.items()}
    if isinstance(value, list):
        return [exported(element) for element in value]
    return value


def _from_object(current: object, raw: dict[str, object], options: Options) -> object:
    keys = raw.keys()
    if TIME in keys:
        return _time(raw)
    if keys == {"inc"}:
        return _incremented(current, raw["inc"])
    if keys and keys <= {"add", "remove"}:
        return _array_operation(current, raw, options)
    if not keys.isdisjoint(_OPERATORS):
        return _object_array_operation(current, raw, options)
    base = current if options.merge_objects and _is_object(current) else {}
    return _fitting(_merged(base, raw, 1, drop_nulls=options.drop_nulls))


# Scalars


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        _invalid("value_too_long")
    if not _is_storable(text):
        _invalid("invalid_text")
    return text


def _number(value: object) -> int | float:
    found = numbers.canonical(value) if isinstance(value, (int, float)) else None
    return _invalid("value_out_of_range") if found is None else found


def _time(tag: dict[str, object]) -> dict[str, str]:
    text = tag[TIME]
    us = times.parse(text) if isinstance(text, str) and len(tag) == 1 else None
    if us is None:
        _invalid("invalid_time")
    return {TIME: times.iso(us)}


def _incremented(current: object, by: object) -> int | float:
    if isinstance(by, bool) or not isinstance(by, int | OutOfRange):
        _invalid("not_an_integer")
    number = 0 if current is MISSING else current
    if isinstance(number, bool) or not isinstance(number, int | float):
        _invalid("not_a_number")
    total = _number(number + int(_number(by)))
    if total == -MAX_INT - 1:  # section 5.2 draws the line at ±(2^63 - 1)
        _invalid("value_out_of_range")
    return total


def _identity(value: object, position: int = 0) -> object:
    """Equal for equal scalars; objects of one array differ by their positions."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, dict):
        return (TIME, value[TIME]) if TIME in value else (dict, position)
    return value


# Arrays of scalars


def _array(raw: list[object], options: Options) -> list[object]:
    if any(_is_object(element) for element in raw):
        return _fitting(_nested_array(raw, 1, drop_nulls=options.drop_nulls))
    distinct: dict[object, object] = {}
    for element in _scalars(raw):
        distinct.setdefault(_identity(element), element)
    return _fitting(list(distinct.values())[: options.array_max])


def _scalars(raw: object) -> list[object]:
    """The elements that an array of scalars takes; too long strings are left out, all else that is wrong raises."""
    if not isinstance(raw, list):
        _invalid("not_an_array")
    result: list[object] = []
    for element in raw:
        if isinstance(element, str) and len(element) > MAX_CHARACTERS:
            continue
        if _is_object(element):
            _invalid("invalid_nested_value")
        result.append(_element(element, 1, drop_nulls=False))
    return result


def _array_operation(current: object, operation: dict[str, object], options: Options) -> list[object]:
    add = _scalars(operation.get("add", []))
    remove = _scalars(operation.get("remove", []))
    array = _array_to_change(current, creates="add" in operation)
    elements = {_identity(element, position): element for position, element in enumerate(array)}
    for element in add:
        identity = _identity(element)
        elements.pop(identity, None)  # a value already present moves to the end
        elements[identity] = element
    if add and not any(map(_is_object, elements.values())):
        for identity in list(elements)[: max(len(elements) - options.array_max, 0)]:
            del elements[identity]
    for element in remove:
        elements.pop(_identity(element), None)
    result = list(elements.values())
    return _fitting(result) if add else result


def _array_to_change(current: object, *, creates: bool) -> list[object]:
    if isinstance(current, list):
        return current
    if current is not MISSING:
        _invalid("not_an_array")
    if not creates:
        _invalid("attribute_missing")
    return []


# Objects and arrays of objects


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict) and TIME not in value


def _nested(value: object, depth: int, *, drop_nulls: bool) -> object:
    """The stored form of a value inside an array or object, or of an object itself."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return value
    if value is None:
        _invalid("nested_null")
    if isinstance(value, list):
        return _nested_array(value, depth, drop_nulls=drop_nulls)
    if isinstance(value, dict):
        if TIME in value:
            return _time(value)
        return _merged({}, value, depth, drop_nulls=drop_nulls)
    return _number(value)


def _nested_array(array: list[object], depth: int, *, drop_nulls: bool) -> list[object]:
    if depth > MAX_DEPTH:
        _invalid("too_deep")
    return [_element(element, depth + 1, drop_nulls=drop_nulls) for element in array]


def _element(value: object, depth: int, *, drop_nulls: bool) -> object:
    if isinstance(value, list):
        _invalid("nested_array")
    return _nested(value, depth, drop_nulls=drop_nulls)


def _merged(base: dict[str, object], patch: dict[str, object], depth: int, *, drop_nulls: bool) -> dict[str, object]:
    """A deep merge: objects recurse, all else replaces. Merging into {} validates and copies the patch."""
    if depth > MAX_DEPTH:
        _invalid("too_deep")
    result = dict(base)
    for key, value in patch.items():
        _check_key(key)
        if value is None and drop_nulls:
            result.pop(key, None)
            continue
        inner = result.get(key)
        if _is_object(inner) and _is_object(value):
            result[key] = _merged(inner, value, depth + 1, drop_nulls=drop_nulls)
        else:
            result[key] = _nested(value, depth + 1, drop_nulls=drop_nulls)
    return result


def _check_key(key: object) -> str:
    if not isinstance(key, str) or not key or len(key) > MAX_CHARACTERS or " " in key or "." in key or "$" in key:
        _invalid("invalid_key")
    return _text(key)


_Sized = TypeVar("_Sized", list[object], dict[str, object])


_encoded: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _size(value: object) -> int:
    return len(_encoded(value).encode())


def _fitting(value: _Sized) -> _Sized:
    if _size(value) > MAX_BYTES:
        _invalid("value_too_large")
    return value


_OPERATORS: Final = frozenset(("$add", "$remove", "$update"))


def _object_array_operation(current: object, operation: dict[str, object], options: Options) -> list[object]:
    # The order is $add, $remove, $update, whatever the order of the JSON (section 6.3).
    if not operation.keys() <= _OPERATORS:
        _invalid("invalid_operation")
    add = [_new_object(entry, drop_nulls=options.drop_nulls) for entry in _entries(operation, "$add")]
    remove: dict[str, set[object]] = {}
    for entry in _entries(operation, "$remove"):
        key, wanted = _target(entry, 2)
        remove.setdefault(key, set()).add(wanted)
    update = [
        (_target(entry, 3), _new_object(entry.get("$new_object"), drop_nulls=False))
        for entry in _entries(operation, "$update")
    ]
    elements = [*_array_to_change(current, creates="$add" in operation), *add]
    elements = [
        element
        for element in elements
        if not any(_identity(value) in remove[key] for key, value in _scalar_members(element) if key in remove)
    ]
    if len(elements) * len(update) > MAX_UPDATE_WORK:
        _invalid("value_too_large")
    for (key, wanted), new in update:
        size = 0
        for index, element in enumerate(elements):
            if not _is_object(element) or _identity(element.get(key)) != wanted:
                continue
            changed = _merged(element, new, 1, drop_nulls=False) if options.merge_objects else new
            elements[index] = changed
            # Watched on the way: one large object merged into each of thousands of elements is gigabytes.
            size += _size(changed)
            if size > MAX_BYTES:
                _invalid("value_too_large")
    return _fitting(elements) if add or update else elements


def _scalar_members(element: object) -> list[tuple[str, object]]:
    if not _is_object(element):
        return []
    return [(key, value) for key, value in element.items() if not isinstance(value, list)]


def _entries(operation: dict[str, object], operator: str) -> list[dict[str, object]]:
    entries = operation.get(operator, [])
    if not isinstance(entries, list):
        _invalid("not_an_array")
    if not all(map(_is_object, entries)):
        _invalid("invalid_nested_value")
    return entries


def _new_object(value: object, *, drop_nulls: bool) -> dict[str, object]:
    if not _is_object(value):
        _invalid("invalid_operation")
    return _merged({}, value, 2, drop_nulls=drop_nulls)


def _target(entry: dict[str, object], parts: int) -> tuple[str, object]:
    """What a `$remove` or `$update` entry points at: a key and the identity of its value."""
    key, value = entry.get("$identifier_key"), entry.get("$identifier_value")
    if len(entry) != parts or not isinstance(key, str) or isinstance(value, list) or _is_object(value):
        _invalid("invalid_operation")
    _check_key(key)
    return key, _identity(_nested(value, 1, drop_nulls=False))
