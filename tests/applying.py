"""Applying what was accepted, without Celery: an applier whose clock stands still, and what is so afterwards."""

from collections import Counter
from typing import Any

from app.store import lane, workspaces
from app.store.engine import Database
from tests.stores import NOW_US
from workers import replay
from workers.apply import Applier
from workers.batches import BatchSize, Patience


class Bell:
    """Counts how often it was cleared."""

    def __init__(self) -> None:
        self.cleared: Counter[int] = Counter()

    def clear(self, workspace_id: int) -> None:
        self.cleared[workspace_id] += 1


def applier(database: Database, **more: Any) -> Applier:
    return Applier(database, more.pop("bell", Bell()), lambda: NOW_US, lambda w: workspaces.secret(database, w), **more)


def differences(database: Database, workspace_id: int) -> list[str]:
    return replay.differences(database, workspace_id, workspaces.secret(database, workspace_id))


def cursors(database: Database, workspace_id: int) -> list[int]:
    with database.read() as connection:
        found = lane.read(connection, workspace_id)
    assert found is not None
    return found.cursors


#: Of workers whose batches are counted: on a busy machine a batch of a few requests may last longer than they wait for.
UNHURRIED = Patience(reduce=600.0, grace=600.0, part=600.0)


class Fixed(BatchSize):
    """Batches of so many requests, however long they take."""

    def adapt(self, *_: Any, **__: Any) -> None:
        """Learn nothing."""


def flowing(database: Database, requests: int, *, least_plain: int = 1, **more: Any) -> Applier:
    """A worker whose batches flow as soon as two of them are full."""
    more.setdefault("patience", UNHURRIED)
    worker = applier(database, least_plain=least_plain, **more)
    worker._sizes = {stream: Fixed(requests) for stream in (0, 1)}
    worker._flows.sizes = {stream: Fixed(requests) for stream in (0, 1)}
    worker._flows.alone = 0
    return worker
