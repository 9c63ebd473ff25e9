"""Identifiers that Onefold makes. They depend only on the workspace's secret and on the place in the log.

A request that is applied again after a crash therefore makes the same profile, not a second one.

Once a backup was restored, the numbers behind it are given out again, and clients may still have what was made of them
before. So the secret gets another part then, see `renewed`: from there on the same place makes other ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from typing import Final

#: Of the part of a secret that is always the same, and of the random bytes that each restore brings.
SECRET_BYTES: Final = 32
FRESH_BYTES: Final = 16

# pid = stream, request number and position packed into a signed 64-bit integer.
_POSITION_BITS = 12
_SEQ_BITS = 50
# What follows the lasting part of a secret, once for each restore: the last numbers of both streams that were restored,
# and the random bytes for the places behind them.
_RENEWAL = Struct(f">QQ{FRESH_BYTES}s")


@dataclass(frozen=True, slots=True)
class NewIds:
    pid: int
    braze_id: str
    random_bucket: int


def lasting(secret: bytes) -> bytes:
    """The key of what does not come from a place in the log: it has to stay the same whatever is restored."""
    return secret[:SECRET_BYTES]


def renewed(secret: bytes, heads: Sequence[int], fresh: bytes) -> bytes:
    """The secret of a workspace that was restored up to `heads`, one number a stream: places behind them make ids that
    were never made before. `fresh` are FRESH_BYTES random bytes."""
    normal, bulk = heads
    if len(secret) < SECRET_BYTES or len(fresh) != FRESH_BYTES:
        raise ValueError("secret too short")
    return secret + _RENEWAL.pack(normal, bulk, fresh)


def of_place(secret: bytes, stream: int, seq: int) -> bytes:
    """The key of ids that are made of request (stream, seq): that of the last restore which did not bring it back."""
    for start in range(len(secret) - _RENEWAL.size, SECRET_BYTES - 1, -_RENEWAL.size):
        *heads, fresh = _RENEWAL.unpack_from(secret, start)
        if seq > heads[stream]:
            return lasting(secret) + bytes(fresh)
    return lasting(secret)


def new_ids(secret: bytes, workspace_id: int, stream: int, seq: int, ordinal: int) -> NewIds:
    """Ids of the profile that command number `ordinal` of request (stream, seq) creates.

    The pid needs no randomness, since the place is unique; consecutive pids also keep the store's indexes dense. The
    braze_id is shown to clients, so it is a keyed hash and tells nothing about traffic.
    """
    if not 0 <= ordinal < 1 << _POSITION_BITS or not 0 < seq < 1 << _SEQ_BITS:
        raise ValueError("place in the log out of range")
    digest = _digest(secret, b"profile", workspace_id, stream, seq, ordinal)
    return NewIds(
        pid=(stream << (_SEQ_BITS + _POSITION_BITS)) | (seq << _POSITION_BITS) | ordinal,
        braze_id=digest[:12].hex(),
        random_bucket=int.from_bytes(digest[12:]) % 10_000,
    )


def merge_id(secret: bytes, workspace_id: int, stream: int, seq: int, ordinal: int) -> str:
    """The id of the merge that a command does, 24 hex digits."""
    return _digest(secret, b"merge", workspace_id, stream, seq, ordinal)[:12].hex()


def device_id(secret: bytes, workspace_id: int, stream: int, seq: int, ordinal: int, n: int) -> str:
    """The id of a device of which a client told only the push token, the n-th one of a command."""
    return _digest(secret, b"device%d" % n, workspace_id, stream, seq, ordinal)[:16].hex()


def event_id(secret: bytes, workspace_id: int, stream: int, seq: int, pid: int) -> str:
    """The id of the event that is all what request (stream, seq) changes of a profile."""
    return "evt_" + _digest(secret, b"event", workspace_id, stream, seq, pid).hex()


def erased_id(secret: bytes, workspace_id: int, braze_id: str) -> str:
    """A hash that stands for a deleted profile. It can be made from the braze_id, but not read back to it."""
    return blake2b(
        b"%d/%b" % (workspace_id, braze_id.encode()), key=lasting(secret), digest_size=16, person=b"erased"
    ).hexdigest()


def place_of(pid: int) -> tuple[int, int, int]:
    """(stream, request number, position) of the command that created a profile."""
    return (
        pid >> (_SEQ_BITS + _POSITION_BITS),
        (pid >> _POSITION_BITS) & ((1 << _SEQ_BITS) - 1),
        pid & ((1 << _POSITION_BITS) - 1),
    )


def _digest(secret: bytes, what: bytes, workspace_id: int, stream: int, seq: int, ordinal: int) -> bytes:
    place = b"%d/%d/%d/%d" % (workspace_id, stream, seq, ordinal)
    return blake2b(place, key=of_place(secret, stream, seq), digest_size=16, person=what).digest()
