"""The Python runtime, tuned for processes that make many short-lived objects and hardly any cycles; and descriptors."""

import gc
import resource
import sys
from contextlib import suppress


def tune(young: int = 200_000) -> None:
    """Leave what exists now alone, and look for cycles rarely. Call once, when a process has loaded everything.

    `young` objects are made, and not freed at once, before anybody looks. With the default of Python (700) the drain
    spent a third of its CPU on looking, and the API stopped for it under load. A drain has so many objects in use; the
    API leaves a few cycles behind with each request, and grew for ten minutes before they added up to so many.
    """
    gc.freeze()
    gc.set_threshold(young, 20, 50)


def raise_descriptors() -> None:
    """Let this process open as many files and connections as the system lets it: its hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS names a hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
