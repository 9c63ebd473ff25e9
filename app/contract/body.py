"""Reading a request body: one strict JSON object, every number and string of which the stores can hold."""

import json
import re
from typing import Any, Final

import msgspec

from app.contract.errors import PARSE_ERROR, RefusedError
from app.domain.custom_attributes import OUT_OF_RANGE

#: Deepest nesting inside one object of a request. Parsers take more than serialisers survive.
MAX_DEPTH: Final = 16

_decode = msgspec.json.Decoder().decode


def parse(body: bytes) -> Any:
    """The JSON value of the body. Raises RefusedError(400).

    A number that no IEEE double or no sane integer can hold (1e400, 5,000 digits) is valid JSON: it becomes
    OUT_OF_RANGE, so that only the value is refused that contains it. Of a repeated key the last one counts.
    """
    try:
        return _decode(body)
    except msgspec.ValidationError:  # syntax is fine, a number is out of range
        return _parse_large_numbers(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise RefusedError(400, PARSE_ERROR) from None


def parse_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object of the body, or None when it is some other JSON value. Raises RefusedError(400)."""
    value = parse(body)
    return value if isinstance(value, dict) else None


def api_key_of(body: bytes) -> str | None:
    """The key in the body of an old client; None when there is none, or no JSON object."""
    try:
        document = parse_object(body)
    except RefusedError:
        return None
    key = None if document is None else document.get("api_key")
    return key if isinstance(key, str) else None


def _parse_large_numbers(body: bytes) -> Any:
    try:
        value = json.loads(body.decode(), parse_int=_int, parse_float=_float, parse_constant=_constant)
        # This parser lets halves of surrogate pairs through, which no UTF-8 encoder takes: refused like the other does.
        json.dumps(value, ensure_ascii=False, default=str).encode()
        return value
    except (ValueError, RecursionError):
        raise RefusedError(400, PARSE_ERROR) from None


def _int(digits: str) -> object:
    return int(digits) if len(digits) <= 20 else OUT_OF_RANGE


def _float(text: str) -> object:
    value = float(text)
    return value if abs(value) != float("inf") else OUT_OF_RANGE


def _constant(name: str) -> object:
    raise ValueError(name)


# A string of JSON cannot hold a raw control character, so an escape is the only way to a NUL.
_NUL = re.compile(rb"\\u0000")


def may_hold_nul(body: bytes) -> bool:
    """Whether the body may hold the character NUL, which PostgreSQL stores in no text. May be wrong with yes."""
    return _NUL.search(body) is not None


def unsound(value: object, depth: int = 0) -> str | None:
    """Why a JSON value cannot be taken: a sentence for the client, or None. Walks the whole value."""
    if isinstance(value, str):
        return "must not contain the character NUL" if "\0" in value else None
    if isinstance(value, dict):
        if depth >= MAX_DEPTH:
            return "must not be nested that deeply"
        for name, member in value.items():
            if "\0" in name:
                return "must not contain the character NUL"
            if (problem := unsound(member, depth + 1)) is not None:
                return problem
    elif isinstance(value, list):
        if depth >= MAX_DEPTH:
            return "must not be nested that deeply"
        for member in value:
            if (problem := unsound(member, depth + 1)) is not None:
                return problem
    return None


def holds_out_of_range(value: object) -> bool:
    """Whether OUT_OF_RANGE stands anywhere inside."""
    if value is OUT_OF_RANGE:
        return True
    if isinstance(value, dict):
        return any(holds_out_of_range(member) for member in value.values())
    if isinstance(value, list):
        return any(holds_out_of_range(member) for member in value)
    return False
