"""Events or purchases of a profile that has many names of them, read and written without the others being decoded.

Ninety names are some 5 KB of JSON. To make Python's objects of them, and to free them again, costs more than all else
that one event does.
"""

from collections.abc import Iterator, MutableMapping
from typing import Final

import msgspec

_encode, _decode = msgspec.json.encode, msgspec.json.decode

#: Bytes of JSON. Below, decoding all of it costs as little.
LEAST: Final = 1_000


class Summaries(MutableMapping[str, list[int]]):
    """{name: [count, first_us, last_us]}, kept as JSON until somebody asks for a name that is not in it, or for all.

    In the JSON `],"name":[` stands before the values of a name, but before those of the first. It cannot stand inside
    of another name, since a quote has a backslash there; and the quote before the name is not the end of another name,
    since behind that comes a colon, and no name that begins with one is looked for in this way. A name that is written
    in another way than ours is not found, and then everything is decoded.
    """

    __slots__ = ("_changed", "_places", "_text", "_whole")

    def __init__(self, text: bytes) -> None:
        self._text = text
        #: Values of names that were asked for, and where they begin in the text.
        self._changed: dict[str, list[int]] = {}
        self._places: dict[str, int] = {}
        #: All of it, once it was decoded; then there is no text.
        self._whole: dict[str, list[int]] | None = None

    @property
    def text_bytes(self) -> int:
        """How long the text is; 0 once everything is decoded."""
        return len(self._text)

    def document(self) -> bytes:
        """All of it as JSON."""
        if self._whole is not None:
            return _encode(self._whole)
        if self._changed:
            text, pieces, behind = self._text, list[bytes](), 0
            for name, start in sorted(self._places.items(), key=lambda place: place[1]):
                pieces += (text[behind:start], _encode(self._changed[name]))
                behind = text.index(b"]", start) + 1
            self._text = b"".join([*pieces, text[behind:]])
            self._changed, self._places = {}, {}
        return self._text

    def __getitem__(self, name: str) -> list[int]:
        if self._whole is not None:
            return self._whole[name]
        if name not in self._changed:
            start = self._start(name)
            if start < 0:
                return self._all()[name]
            self._changed[name] = _decode(self._text[start : self._text.index(b"]", start) + 1])
            self._places[name] = start
        return self._changed[name]

    def __setitem__(self, name: str, values: list[int]) -> None:
        if name in self:
            (self._changed if self._whole is None else self._whole)[name] = values
        else:
            self._all()[name] = values

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _start(self, name: str) -> int:
        """Where the values of a name begin, or -1: then it may be there all the same."""
        if name.startswith(":"):
            return -1
        begin = _encode(name) + b":["
        if self._text.startswith(b"{" + begin):
            return len(begin)
        found = self._text.find(b"]," + begin)
        return found if found < 0 else found + len(begin) + 1

    def _all(self) -> dict[str, list[int]]:
        if self._whole is None:
            self._whole = _decode(self.document())
            self._text = b""
        return self._whole
