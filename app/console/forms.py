"""Fields of a form or a query string. What no database holds is replaced, and there are bounds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

MAX_BYTES: Final = 256 * 1024
MAX_FIELDS: Final = 1_000
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_NUL: Final = "\0"
_REPLACEMENT: Final = "\ufffd"


class UnreadableFormError(Exception):
    """What was sent is no form, or is larger than one. `status`: as of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Form(Mapping[str, str]):
    """Fields by name: each with its first value, `all` of them where there may be many. One that is missing is ""."""

    def __init__(self, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        self._fields = fields or {}

    def __getitem__(self, name: str) -> str:
        return self._fields[name][0] if name in self._fields else ""

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def all(self, name: str) -> list[str]:
        """The values of a field that may be there many times."""
        return list(self._fields.get(name, ()))

    def whole(self, name: str) -> int | None:
        """A whole number of at most 18 digits; None where the field is empty. Raises ValueError."""
        text = self[name].strip()
        if not text:
            return None
        if not text.isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
            raise ValueError("no whole number")
        return int(text)


def parse(text: str) -> Form:
    """Raises UnreadableFormError."""
    clean = text.encode("utf-8", "replace").decode()
    try:
        found = parse_qs(clean, keep_blank_values=True, encoding="utf-8", errors="replace", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise UnreadableFormError(413) from None
    return Form(
        {
            name.replace(_NUL, _REPLACEMENT): [value.replace(_NUL, _REPLACEMENT) for value in values]
            for name, values in found.items()
        }
    )


async def read(request: Request) -> Form:
    """The body of a request. Raises UnreadableFormError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise UnreadableFormError(415)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise UnreadableFormError(413)
    return parse(bytes(body).decode("utf-8", "replace"))
