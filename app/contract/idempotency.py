"""The header `Idempotency-Key`, our extension: a client that heard no answer may send the same request again.

A key belongs to a workspace and an endpoint. What is stored of it, and of the body that came with it, are hashes keyed
with the workspace's secret: a client may have put a person's address into the key, and a hash of a short body that
anybody could compute would give the body away.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from app.contract.errors import RefusedError
from app.domain.ids import lasting

MAX_LENGTH: Final = 255
BAD_KEY: Final = "'Idempotency-Key' must be one value of 1 to 255 printable ASCII characters"
REUSED: Final = "This 'Idempotency-Key' was already used with another request body"

_KEY: Final = re.compile(rf"[\x20-\x7e]{{1,{MAX_LENGTH}}}")


def read(values: Sequence[str]) -> str | None:
    """The key in the values of the header, None when it was not sent. Raises RefusedError(400)."""
    if not values:
        return None
    if len(values) > 1 or _KEY.fullmatch(values[0]) is None:
        raise RefusedError(400, BAD_KEY)
    return values[0]


def digest(secret: bytes, path: str, key: str) -> bytes:
    """16 bytes that stand for a key of an endpoint."""
    return blake2b(f"{path} {key}".encode(), key=lasting(secret), digest_size=16, person=b"idempotency key").digest()


def fingerprint(secret: bytes, body: bytes) -> bytes:
    """16 bytes that stand for a body, as it was before compression."""
    return blake2b(body, key=lasting(secret), digest_size=16, person=b"idempotent body").digest()
