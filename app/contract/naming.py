"""Whether a stored request names a person: every text and number in it, wherever it stands."""

import json
from collections.abc import Iterator
from typing import Any, Final

from app.contract import addresses, stored, track


def names_anybody(codec: int, body: bytes, identifiers: frozenset[str]) -> bool:
    """Whether the body holds one of the identifiers, as they are kept (addresses comparable, numbers as text).

    True as well when the body cannot be read: then nobody can tell that it does not. Meant for requests that could not
    be applied, so it knows nothing of their form but that they are JSON.
    """
    try:
        # Numbers stay the texts that they were: a float would lose digits of an external id.
        document = json.loads(stored.opened(codec, body)[2], parse_int=str, parse_float=str)
        wanted = _Wanted(identifiers, track.region_of(document))
        return any(map(wanted.is_named_by, _texts(document)))
    except (ValueError, RecursionError):
        return True


def parts_naming(codec: int, body: bytes, identifiers: frozenset[str]) -> object | None:
    """What of a stored request holds one of the identifiers, as a JSON value: objects about others are left out.

    None when nothing of it does, and when the body cannot be read: it may be about somebody else.
    """
    content = stored.opened(codec, body)[2]
    try:
        texts = json.loads(content, parse_int=str, parse_float=str)
        shown = json.loads(content)
        wanted = _Wanted(identifiers, track.region_of(texts))

        def chosen(values: list[Any], shown_: list[Any]) -> list[Any]:
            pairs = zip(values, shown_, strict=True)
            return [one for value, one in pairs if any(map(wanted.is_named_by, _texts(value)))]

        if isinstance(texts, list):
            return chosen(texts, shown) or None
        if not isinstance(texts, dict):
            return None
        lists = {name: chosen(value, shown[name]) for name, value in texts.items() if isinstance(value, list)}
        if not any(lists.values()):
            return None
        return {name: lists.get(name, value) for name, value in shown.items() if lists.get(name, value) != []}
    except (ValueError, RecursionError):
        return None


#: The last digits of a number are the same in any spelling; those before them may not be (Argentina's 15).
_TAIL: Final = 6


class _Wanted:
    """Who is looked for. To read an address or a number takes long, so a text is only read when it can be theirs."""

    def __init__(self, identifiers: frozenset[str], region: str) -> None:
        self._identifiers = identifiers
        self._region = region
        self._locals = {name.rpartition("@")[0] for name in identifiers if "@" in name}
        self._tails = tuple({name[1:][-_TAIL:] for name in identifiers if name[:1] == "+" and name[1:].isdecimal()})

    def is_named_by(self, text: str) -> bool:
        names = self._identifiers
        return (
            text in names
            or text.strip() in names
            or ("@" in text and addresses.local_part(text) in self._locals and addresses.email(text) in names)
            or (addresses.ends_like(text, self._tails) and addresses.phone(text, self._region) in names)
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
