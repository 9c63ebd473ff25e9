"""Work that a workspace does in one thread at a time, however many threads it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from typing import Final

from app.store.interruption import check

#: How often a thread that waits looks whether anybody still waits for it.
LOOK_SECONDS: Final = 0.1


class Turns:
    """A lock for each workspace. Who waits for one ends when its call of the store is interrupted."""

    def __init__(self) -> None:
        self._working: set[int] = set()
        self._changed = Condition()

    @contextmanager
    def turn(self, workspace_id: int) -> Iterator[None]:
        """A block that no other thread is in for this workspace. Raises AbandonedError."""
        with self._changed:
            while workspace_id in self._working:
                check()
                self._changed.wait(LOOK_SECONDS)
            self._working.add(workspace_id)
        try:
            yield
        finally:
            with self._changed:
                self._working.discard(workspace_id)
                self._changed.notify_all()
