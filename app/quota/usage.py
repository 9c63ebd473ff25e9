"""What was used: counters in Redis that `take.lua` keeps, a string per API key, group of endpoints and day.

A counter is pairs of unsigned 32-bit numbers, big-endian as BITFIELD writes them: admitted and refused of each minute
of the day. It ends with the last minute in which there was a request, and has at most 11,520 bytes.
"""

import struct
from typing import NamedTuple

MINUTE_MS = 60_000
MINUTES_A_DAY = 1_440
DAY_MS = MINUTES_A_DAY * MINUTE_MS


class Minute(NamedTuple):
    """Requests of one minute: its number since 1970, how many were admitted, how many refused."""

    minute: int
    admitted: int
    refused: int


def minutes(counter: bytes | str | None, day: int) -> list[Minute]:
    """The minutes that hold anything. `day` is the day of the counter, in days since 1970; None = no counter."""
    if not isinstance(counter, bytes):  # none, or no counter of ours
        return []
    counter += b"\0" * (-len(counter) % 8)
    return [
        Minute(day * MINUTES_A_DAY + number, admitted, refused)
        for number, (admitted, refused) in enumerate(struct.iter_unpack(">II", counter))
        if admitted or refused
    ]
