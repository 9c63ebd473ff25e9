"""Whether a stored request names a person: every text and number in it, wherever it stands."""

import json
from collections.abc import Iterator
from typing import Any

from app.contract import addresses, stored, track


def names_anybody(codec: int, body: bytes, identifiers: frozenset[str]) -> bool:
    """Whether the body holds one of the identifiers, as they are kept (addresses comparable, numbers as text).

    True as well when the body cannot be read: then nobody can tell that it does not. Meant for requests that could not
    be applied, so it knows nothing of their form but that they are JSON.
    """
    try:
        # Numbers stay the texts that they were: a float would lose digits of an external id.
        document = json.loads(stored.opened(codec, body)[2], parse_int=str, parse_float=str)
        region = track.region_of(document)
        return any(_is_one(found, identifiers, region) for found in _texts(document))
    except (ValueError, RecursionError):
        return True


def _is_one(text: str, identifiers: frozenset[str], region: str) -> bool:
    return (
        text in identifiers
        or text.strip() in identifiers
        or addresses.email(text) in identifiers
        or addresses.phone(text, region) in identifiers
    )


def _texts(document: Any) -> Iterator[str]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
