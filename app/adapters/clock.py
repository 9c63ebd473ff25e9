"""The wall clock. In test mode it can be set, for all processes of a Onefold at once."""

import mmap
import time
from pathlib import Path
from typing import Final

#: The clock of test mode: eight bytes of a file that every process maps; nothing outside of test mode. The number is
#: twice what it is ahead of the wall clock or, where it stands still, twice its time and one more. It is one number, so
#: that nobody reads half of a change.
_SHARED: Final[list[memoryview]] = []


def now_us() -> int:
    """The wall clock in microseconds."""
    us = time.time_ns() // 1000
    return _virtual(us, _SHARED[0][0]) if _SHARED else us


def now_ms() -> int:
    """The wall clock in milliseconds."""
    return now_us() // 1000


def follow(path: Path | None) -> None:
    """Test mode: go by the clock in this file from now on, which is made where it is missing. None = the machine's."""
    if path is None:
        _SHARED.clear()
        return
    with path.open("ab") as file:  # two may make it at once: what both append is zero
        if file.tell() < 8:
            file.write(bytes(8))
    with path.open("r+b") as file:
        shared = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
    _SHARED[:] = [shared]


def set_time(us: int | None, *, frozen: bool = False) -> None:
    """Test mode: it is this time now, and goes on from it, or stands still; None = that of the machine.

    Raises IndexError in a process that follows no clock.
    """
    if us is None:
        _SHARED[0][0] = 0
    elif frozen:
        _SHARED[0][0] = us * 2 + 1
    else:
        _SHARED[0][0] = (us - time.time_ns() // 1000) * 2


def is_frozen() -> bool:
    """Whether the clock stands still."""
    return bool(_SHARED) and bool(_SHARED[0][0] & 1)


def _virtual(us: int, shared: int) -> int:
    return shared >> 1 if shared & 1 else us + (shared >> 1)
