"""Waiting for something to become true: the tests' only way to wait. Nothing sleeps for a fixed time and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")


def until(condition: Callable[[], T], timeout: float = 10.0, interval: float = 0.02, message: str = "") -> T:
    """Ask again and again until the answer is true, and return it; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{message or 'it did not happen'} within {timeout:g} s; last answer: {answer!r}")
        time.sleep(interval)
    return answer


def gone(pid: int) -> bool:
    """Whether the process is over. A zombie is: in a container there may be nobody to reap an orphan."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
