"""Values of custom attributes: what may stand in them, and their stored form (attributes.md, sections 1 and 6.4).

A value is checked and copied in one walk. What is wrong anywhere in it raises, since it drops the whole update.
"""

from json import JSONEncoder
from json.encoder import encode_basestring
from typing import Final, NoReturn, TypeGuard, TypeVar

from app.domain import numbers, times

MAX_CHARACTERS: Final = 255
MAX_BYTES: Final = 100 * 1024  # of an array or object, as compact JSON in UTF-8
MAX_DEPTH: Final = 16  # more is refused at the door; here it only keeps recursion finite

TIME: Final = "$time"


class Missing:
    """The type of MISSING: the profile has no such attribute."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


class OutOfRange:
    """The type of OUT_OF_RANGE: what the parser puts where the JSON has a number that it cannot hold."""

    __slots__ = ()


MISSING: Final = Missing()
OUT_OF_RANGE: Final = OutOfRange()


class InvalidError(Exception):
    """One invalid value anywhere drops the whole update (section 6.4); `reason` is one of REASONS."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def invalid(reason: str) -> NoReturn:
    """Raises InvalidError."""
    raise InvalidError(reason)


def is_storable(text: str) -> bool:
    """Whether every store keeps the text: it has no NUL and no half of a surrogate pair."""
    if "\0" in text:
        return False
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether a value is an object, which a time is not."""
    return isinstance(value, dict) and TIME not in value


def identity(value: object, position: int = 0) -> object:
    """Equal for equal scalars; objects of one array differ by their positions."""
    if isinstance(value, bool):
        return bool, value
    if isinstance(value, dict):
        return (TIME, value[TIME]) if TIME in value else (dict, position)
    return value


def checked(value: object, depth: int, *, drop_nulls: bool) -> object:
    """The stored form of a value inside an array or object, or of an object itself."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return value
    if value is None:
        invalid("nested_null")
    if isinstance(value, list):
        return checked_array(value, depth, drop_nulls=drop_nulls)
    if isinstance(value, dict):
        if TIME in value:
            return checked_time(value)
        return checked_object(value, depth, drop_nulls=drop_nulls)
    return checked_number(value)


def checked_number(value: object) -> int | float:
    """A number in the form that every store gives back alike."""
    found = numbers.canonical(value) if isinstance(value, (int, float)) else None
    return invalid("value_out_of_range") if found is None else found


def checked_time(tag: dict[str, object]) -> dict[str, str]:
    """The stored form of `{"$time": …}`."""
    text = tag[TIME]
    us = times.moment(text) if isinstance(text, str) and len(tag) == 1 else None
    if us is None:
        invalid("invalid_time")
    return {TIME: times.iso(us)}


def checked_array(array: list[object], depth: int, *, drop_nulls: bool) -> list[object]:
    """An array at a depth, with its elements checked."""
    if depth > MAX_DEPTH:
        invalid("too_deep")
    return [checked_element(element, depth + 1, drop_nulls=drop_nulls) for element in array]


def checked_element(value: object, depth: int, *, drop_nulls: bool) -> object:
    """An element of an array, which is no array itself."""
    if isinstance(value, list):
        invalid("nested_array")
    return checked(value, depth, drop_nulls=drop_nulls)


def checked_object(value: dict[str, object], depth: int, *, drop_nulls: bool) -> dict[str, object]:
    """An object at a depth; with `drop_nulls`, without its null members."""
    return merged({}, value, depth, drop_nulls=drop_nulls)


def merged(base: dict[str, object], patch: dict[str, object], depth: int, *, drop_nulls: bool) -> dict[str, object]:
    """A deep merge: objects recurse, all else replaces. Neither is changed."""
    if depth > MAX_DEPTH:
        invalid("too_deep")
    result = dict(base)
    for key, value in patch.items():
        check_key(key)
        if value is None and drop_nulls:
            result.pop(key, None)
            continue
        inner = result.get(key)
        if is_object(inner) and is_object(value):
            result[key] = merged(inner, value, depth + 1, drop_nulls=drop_nulls)
        else:
            result[key] = checked(value, depth + 1, drop_nulls=drop_nulls)
    return result


def check_key(key: object) -> None:
    """Raises InvalidError for what may not be a key of an object."""
    if not isinstance(key, str) or not key or len(key) > MAX_CHARACTERS or " " in key or "." in key or "$" in key:
        invalid("invalid_key")
    if not is_storable(key):
        invalid("invalid_text")


def _text(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        invalid("value_too_long")
    if not is_storable(text):
        invalid("invalid_text")
    return text


#: Bytes of an object with TIME beside the text of the moment.
_TIME_FRAME: Final = len(f'{{"{TIME}":}}')
_encoded: Final = JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def size(value: object) -> int:
    """Bytes of a stored value as compact JSON in UTF-8."""
    if isinstance(value, str):
        text = encode_basestring(value)
        return len(text) if text.isascii() else len(text.encode())
    if type(value) is int:
        return len(str(value))
    if type(value) is dict and len(value) == 1 and type(time := value.get(TIME)) is str:  # the most frequent object
        return _TIME_FRAME + len(encode_basestring(time).encode())
    return len(_encoded(value).encode())


def nodes(value: object) -> int:
    """How many values a value consists of, keys included."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(nodes, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(nodes, value))
    return 1


_Sized = TypeVar("_Sized", list[object], dict[str, object])


def fitting(value: _Sized) -> _Sized:
    """The value, when it has no more than MAX_BYTES."""
    if size(value) > MAX_BYTES:
        invalid("value_too_large")
    return value
