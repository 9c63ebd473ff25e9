"""The wall clock."""

import time


def now_us() -> int:
    """The wall clock in microseconds."""
    return time.time_ns() // 1000


def now_ms() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000
