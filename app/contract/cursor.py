"""Where the next page of a list begins: a text that nobody can make, and that belongs to one question of one workspace.

The text is base64url of a tag and a position. The tag is keyed with the workspace's secret over the workspace, the
question and the position. So another workspace, and another question of the same one, cannot use it, and a position
that was read needs no further checks.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

import msgspec

from app.contract.errors import RefusedError
from app.domain.ids import lasting

BAD_CURSOR: Final = "'cursor' must be the 'next_cursor' of an answer to the same question"
MAX_LENGTH: Final = 1_000
_TAG_BYTES: Final = 12

Position = list[int | str]
"""What the list is ordered by, of the last entry that was given."""


class Cursors:
    """The cursors of one workspace."""

    def __init__(self, workspace_id: int, secret: bytes) -> None:
        self._workspace_id = workspace_id
        self._secret = lasting(secret)

    def make(self, question: tuple[int | str, ...], position: Position) -> str:
        """The cursor behind a position. `question` begins with the name of the list."""
        payload = msgspec.json.encode(position)
        return _encoded(self._tag(question, payload) + payload)

    def read(self, question: tuple[int | str, ...], text: object) -> Position:
        """The position of a cursor that `make` gave for this question. Raises RefusedError(400)."""
        if not isinstance(text, str) or not 0 < len(text) <= MAX_LENGTH:
            raise RefusedError(400, BAD_CURSOR)
        try:
            found = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raise RefusedError(400, BAD_CURSOR) from None
        tag, payload = found[:_TAG_BYTES], found[_TAG_BYTES:]
        # The decoder leaves out letters that are none of its own.
        if not compare_digest(tag, self._tag(question, payload)) or _encoded(found) != text:
            raise RefusedError(400, BAD_CURSOR)
        return msgspec.json.decode(payload, type=Position)

    def _tag(self, question: tuple[int | str, ...], payload: bytes) -> bytes:
        asked = msgspec.json.encode((self._workspace_id, question))
        return blake2b(asked + b"\0" + payload, key=self._secret, digest_size=_TAG_BYTES, person=b"cursor").digest()


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    limit: int
    #: `cursor` as it was sent; "" = from the beginning.
    cursor: str = ""
    #: Entries to leave out first.
    skip: int = 0

    def behind(self, cursors: Cursors, question: tuple[int | str, ...]) -> Position | None:
        """Behind which entry the page begins; None = at the first. Raises RefusedError(400)."""
        return cursors.read(question, self.cursor) if self.cursor else None


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
