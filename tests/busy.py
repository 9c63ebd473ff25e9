"""A workspace in which requests are accepted and applied, all the time, while a test does something to its database."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event

from app.domain.commands import STREAMS
from app.store import workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from tests.accepting import entry
from tests.polling import until
from tests.stores import NOW_US
from workers.apply import Applier

WAIT_SECONDS = 30.0


class Silent:
    """A doorbell that nobody hears."""

    def clear(self, workspace_id: int) -> None:
        pass


def applier_of(database: Database) -> Applier:
    return Applier(database, Silent(), lambda: NOW_US, lambda number: workspaces.secret(database, number))


def accept(database: Database, workspace_id: int, n: int) -> None:
    """Store request number `n` of a test: of one stream and the other in turns, about one of twenty people."""
    made = entry("/users/track", {"attributes": [{"external_id": f"u{n % 20}", "n": n, "sum": {"inc": 1}}]})
    assert made is not None
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, n % 2, [made], NOW_US + n)


def head(database: Database, workspace_id: int) -> int:
    """How many requests were accepted, of all streams together."""
    with database.read(database.inbox) as connection:
        return sum(inbox.head(connection, workspace_id, stream) for stream in STREAMS)


@contextmanager
def busy(database: Database, workspace_id: int) -> Iterator[Callable[[int], int]]:
    """Accept and apply in a thread, until the end of the block.

    Gives a function that waits until so many more were accepted, and returns how many were: the store may have one more
    already, of which the thread does not know yet.
    """
    accepted, stop = 0, Event()

    def work() -> None:
        nonlocal accepted
        applier = applier_of(database)
        for n in count(1):
            if stop.is_set():
                return
            accept(database, workspace_id, n)
            accepted = n
            if n % 3 == 0:
                applier.drain(workspace_id)

    def more(least: int) -> int:
        wanted = accepted + least
        until(lambda: accepted >= wanted or working.done(), WAIT_SECONDS, message="nothing is accepted")
        assert not working.done(), working.exception()
        return accepted

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        try:
            yield more
        finally:
            stop.set()
        working.result()
