"""Reading a request body: one strict JSON object, every number and string of which the stores can hold."""

import codecs
import json
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from app.contract.errors import PARSE_ERROR, RefusedError
from app.domain import reasons
from app.domain.custom_attributes import OUT_OF_RANGE

#: Deepest nesting inside one object of a request. Parsers take more than serialisers survive.
MAX_DEPTH: Final = 16


NUL_INSIDE: Final = "must not contain the character NUL (U+0000)"

_decode = msgspec.json.Decoder().decode


class BrokenText:
    """The type of BROKEN_TEXT."""

    __slots__ = ()


#: What the parser puts where the JSON has a text with half a surrogate pair, which no UTF-8 can hold.
BROKEN_TEXT: Final = BrokenText()


def parse(body: bytes) -> Any:
    """The JSON value of the body. Raises RefusedError(400).

    Two kinds of values are valid JSON, though nothing can hold them: a number beyond an IEEE double or a sane integer
    (1e400, 5,000 digits) becomes OUT_OF_RANGE, and a text with half a surrogate pair BROKEN_TEXT. So only what contains
    them is refused. A member whose name is such a text has the name in ASCII and BROKEN_TEXT as its value. Of a
    repeated key the last one counts.
    """
    body = without_mark(body)
    try:
        return _decode(body)
    except msgspec.ValidationError:  # syntax is fine, a number is out of range
        return _parse_unstorable(body)
    except msgspec.DecodeError:
        if _SURROGATE.search(body) is None:
            raise RefusedError(400, PARSE_ERROR) from None
        return _parse_unstorable(body)
    except (RecursionError, UnicodeDecodeError):
        raise RefusedError(400, PARSE_ERROR) from None


def without_mark(body: bytes) -> bytes:
    """The body without the UTF-8 byte order mark that some clients put in front (DECISIONS D66)."""
    return body.removeprefix(codecs.BOM_UTF8)


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of the body, or None when it is some other JSON value. Raises RefusedError(400)."""
    value = parse(body)
    return value if isinstance(value, dict) else None


def api_key_of(body: bytes) -> str | None:
    """The API key in the body of an old client. None: the body has no key, or is not a JSON object."""
    try:
        document = parse_object(body)
    except RefusedError:
        return None
    key = None if document is None else document.get("api_key")
    return key if isinstance(key, str) else None


def _parse_unstorable(body: bytes) -> Any:
    try:
        value = json.loads(body.decode(), parse_int=_int, parse_float=_float, parse_constant=_constant)
        return value if _SURROGATE.search(body) is None else _without_surrogates(value)
    except (ValueError, RecursionError):
        raise RefusedError(400, PARSE_ERROR) from None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return BROKEN_TEXT if _is_broken(value) else value
    if isinstance(value, list):
        return [_without_surrogates(member) for member in value]
    if isinstance(value, dict):
        return {
            ascii(name)[1:-1] if _is_broken(name) else name: BROKEN_TEXT
            if _is_broken(name)
            else _without_surrogates(member)
            for name, member in value.items()
        }
    return value


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _int(digits: str) -> object:
    return int(digits) if len(digits) <= 20 else OUT_OF_RANGE


def _float(text: str) -> object:
    value = float(text)
    return value if abs(value) != float("inf") else OUT_OF_RANGE


def _constant(name: str) -> object:
    raise ValueError(name)


_NO_STRUCTURE: Final = bytes(set(range(256)) - set(b'",[{'))


def has_more_values(body: bytes, most: int) -> bool:
    """Whether a JSON text has more than `most` values, objects and arrays among them; members of an object count once.

    To be known before it is decoded: an empty object takes two bytes of a text and some hundred as an object. A text
    that is no JSON is judged somehow, and quickly.
    """
    if len(body) < most:  # nearly always
        return False
    if body.count(b",") + body.count(b"[") + body.count(b"{") < most:  # those inside of strings, too
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(body.translate(None, _NO_STRUCTURE).split(b'"')[::2])
    return len(outside) >= most


#: The escape of half a surrogate pair; of a whole pair, too.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

# A string of JSON cannot hold a raw control character, so an escape is the only way to a NUL.
_NUL = re.compile(rb"\\u0000")


def may_hold_nul(body: bytes) -> bool:
    """Whether the body may hold the character NUL, which PostgreSQL stores in no text. May be wrong with yes."""
    return b"\\" in body and _NUL.search(body) is not None


def unsound(value: object, depth: int = 0) -> str | None:
    """Why a JSON value cannot be taken: a sentence for the client, or None. Walks the whole value."""
    if isinstance(value, str):
        return NUL_INSIDE if "\0" in value else None
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return "must not be nested that deeply"
        for name, member in value.items():
            if "\0" in name:
                return NUL_INSIDE
            if (problem := unsound(member, depth + 1)) is not None:
                return problem
    elif isinstance(value, list):
        if depth >= MAX_DEPTH:
            return "must not be nested that deeply"
        for member in value:
            if (problem := unsound(member, depth + 1)) is not None:
                return problem
    return None


def unstorable(value: object) -> str | None:
    """The reason why no store can hold a value: of the first OUT_OF_RANGE or BROKEN_TEXT inside; else None."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return next((reason for member in value if (reason := unstorable(member)) is not None), None)
    return unstorable_scalar(value)


def unstorable_scalar(value: object) -> str | None:
    """As `unstorable`, of a value that is neither an array nor an object."""
    if value is OUT_OF_RANGE:
        return reasons.OUT_OF_RANGE
    return reasons.BROKEN_TEXT if value is BROKEN_TEXT else None


#: What `pruned` names of one object, one more than a request lists: so it is seen that there is more.
MAX_LOST: Final = 201
#: Characters of a path: those that are listed. A name may be as long as its request, and stands in many paths.
_MAX_PATH: Final = 255


def pruned(
    value: dict[str, Any], reason_of: Callable[[object], str | None], lost: list[tuple[str, str]]
) -> dict[str, Any]:
    """The object without the scalars that `reason_of` gives a reason for, at any depth. The rest is as it was.

    `lost` gets (path, reason) of each of them: names of members and positions of elements, with dots between.
    """
    kept: dict[str, Any] = _pruned(value, "", reason_of, lost)
    return kept


def _pruned(value: Any, path: str, reason_of: Callable[[object], str | None], lost: list[tuple[str, str]]) -> Any:
    """_LOST where nothing is left of it."""
    if isinstance(value, dict):
        kept = {name: _pruned(member, _below(path, name), reason_of, lost) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member is not _LOST}
    if isinstance(value, list):
        elements = [_pruned(member, _below(path, str(n)), reason_of, lost) for n, member in enumerate(value)]
        return [member for member in elements if member is not _LOST]
    reason = reason_of(value)
    if reason is None:
        return value
    if len(lost) < MAX_LOST:
        lost.append((path, reason))
    return _LOST


def _below(path: str, step: str) -> str:
    return (f"{path}.{step}" if path else step)[:_MAX_PATH]


_LOST: Final = object()
