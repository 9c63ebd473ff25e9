"""X-Request-Id of an accepted request: a UUID that says where the request stands, with a tag that nobody can forge.

RFC 9562 version 8: 48 bits request number, 4 bits version, 12 bits stream, 2 bits variant, 62 bits tag. The tag is
keyed with the workspace's secret over (workspace, stream, number), so asking for a status needs no table of ids.
A number that was given out again, because a backup was restored, has another tag.
"""

from hashlib import blake2b
from hmac import compare_digest
from uuid import UUID

from app.domain.ids import of_place

_TAG_MASK = (1 << 62) - 1


def make(secret: bytes, workspace_id: int, stream: int, seq: int) -> str:
    """The id of an accepted request."""
    digits = f"{_pack(seq, stream, _tag(secret, workspace_id, stream, seq)):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def read(secret: bytes, workspace_id: int, text: str) -> tuple[int, int] | None:
    """(stream, number) of an id that this workspace was given; None for any other text."""
    try:
        value = UUID(text).int
    except ValueError:
        return None
    seq, stream = value >> 80, (value >> 64) & 0xFFF
    expected = _pack(seq, stream, _tag(secret, workspace_id, stream, seq))
    return (stream, seq) if compare_digest(value.to_bytes(16), expected.to_bytes(16)) else None


def _pack(seq: int, stream: int, tag: int) -> int:
    return seq << 80 | 8 << 76 | stream << 64 | 2 << 62 | tag


def _tag(secret: bytes, workspace_id: int, stream: int, seq: int) -> int:
    place = b"%d/%d/%d" % (workspace_id, stream, seq)
    digest = blake2b(place, key=of_place(secret, stream, seq), digest_size=8, person=b"request").digest()
    return int.from_bytes(digest) & _TAG_MASK
