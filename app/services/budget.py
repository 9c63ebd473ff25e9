"""How long the request at hand may still take, and at whose expense: clients give up after 2 s (spec clients.md 2), so
we do before them.

The budget belongs to the task of a request, like the request itself; outside of one there is no limit but `most`.
"""

import math
import time
from contextlib import AbstractContextManager
from contextvars import ContextVar

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)
_workspace: ContextVar[int | None] = ContextVar("workspace", default=None)


class _Answering:
    """What `answering` returns. A class, since each request makes one: a generator takes four times as long."""

    __slots__ = ("_seconds", "_tokens")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._tokens = _deadline.set(time.monotonic() + self._seconds), _workspace.set(None)

    def __exit__(self, *_: object) -> None:
        deadline, workspace = self._tokens
        _workspace.reset(workspace)
        _deadline.reset(deadline)


def answering(seconds: float) -> AbstractContextManager[None]:
    """A block that answers a request, within `seconds`."""
    return _Answering(seconds)


def charge(workspace_id: int) -> None:
    """From now on the request is at this workspace's expense: see app.services.shares."""
    _workspace.set(workspace_id)


def workspace() -> int | None:
    """Whose request it is; None before that is known, and for what we do for ourselves."""
    return _workspace.get()


def extend(seconds: float) -> None:
    """Allow more: the client is still sending, or asked for an answer that waits."""
    _deadline.set(_deadline.get() + seconds)


def left(most: float) -> float:
    """Seconds that are left, at most `most`, and never less than 0."""
    return max(0.0, min(most, _deadline.get() - time.monotonic()))
