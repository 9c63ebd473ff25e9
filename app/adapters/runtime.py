"""The Python runtime, tuned for processes that make many short-lived objects and hardly any cycles; and descriptors."""

import ctypes
import gc
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final


def tune(young: int = 20_000) -> None:
    """Leave what exists now alone, and look for cycles rarely. Call once, when a process has loaded everything.

    `young` objects are made, and not freed at once, before anybody looks. With the default of Python (700) the drain
    spent a third of its CPU on looking, and the API stopped for it under load. A drain has more than ours in use, and
    says so: a batch of profiles comes and goes without any cycle. Other processes leave a few behind with each request:
    the API grew for ten minutes with 200,000.
    """
    gc.freeze()
    gc.set_threshold(young, 20, 50)


def take_turns() -> None:
    """Let no thread wait for Python's lock for longer than half a millisecond, where Python would have five.

    A drain has a thread that computes and two that talk to the database, and each of their statements ends with a wait.
    """
    sys.setswitchinterval(0.0005)


@contextmanager
def not_collecting() -> Iterator[None]:
    """Look for no cycles meanwhile: for imports, which make hundreds of thousands of objects that all stay."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def give_memory_back() -> None:
    """Let the C library return large blocks to the system as soon as they are free. Call before there are threads.

    glibc keeps an arena for each thread, and takes large blocks from it once one of that size was freed. An API process
    that had sent a few exports of 8 MB from its threads kept 50 MB that nobody used. Other C libraries have no such
    switch.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 256 * 1024)
        mallopt(_M_ARENA_MAX, 2)


#: <malloc.h>
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def raise_descriptors() -> None:
    """Let this process open as many files and connections as the system lets it: its hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
