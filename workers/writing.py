"""Writing batches while the next one is being worked on: one at a time, each in a transaction of its own.

A thread writes. On PostgreSQL it also holds the lane from one batch to the next: behind each commit it begins another
transaction and takes the lock again, before anybody needs it. On SQLite, where only one can write at all, others have
their turn meanwhile. A lane that is not where it was left is never written to.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress

from sqlalchemy import Connection

from app.store.engine import Database
from app.store.lane import Lane


class LaneLostError(Exception):
    """Somebody else has had the lane, or what batches depend on has changed meanwhile."""


Lock = Callable[[Connection], Lane]
"""Takes the lane in a transaction that has just begun. Raises LaneLostError."""

Job = Callable[[Connection, Lane], None]
"""What is done in the transaction of a batch."""


class _Abandoned(Exception):  # noqa: N818 - nobody sees it
    """Makes a transaction roll back."""


class Writer:
    """The transactions of one flow of batches. One thread calls its methods."""

    def __init__(self, database: Database, executor: ThreadPoolExecutor, lock: Lock) -> None:
        self._database, self._executor, self._lock = database, executor, lock
        self._transaction: ExitStack | None = None
        self._held: tuple[Connection, Lane] | None = None
        self._future: Future[None] | None = None

    def take(self) -> tuple[Connection, Lane]:
        """The transaction of the next batch, with the lane locked in it, once the batch before is committed.

        Raises LaneLostError, and what writing the batch before has raised.
        """
        self._wait()
        return self._begin()

    def write(self, job: Job, committed: Callable[[], None]) -> None:
        """Write a batch, and call `committed` behind its commit. Raises as `take`."""
        self._wait()
        self._future = self._executor.submit(self._run, job, committed)

    def close(self, job: Job | None = None) -> None:
        """Wait until all batches are committed. `job` is done in a last transaction. Raises as `take`."""
        self._wait()
        if job is not None:
            job(*self._begin())
        self._commit()

    def abandon(self) -> None:
        """Roll back what is not committed. Does not raise."""
        if self._future is not None:
            self._future.exception()
            self._future = None
        transaction, self._transaction, self._held = self._transaction, None, None
        if transaction is not None:
            with suppress(Exception):
                transaction.__exit__(_Abandoned, _Abandoned(), None)

    def _wait(self) -> None:
        future, self._future = self._future, None
        if future is not None:
            future.result()

    def _run(self, job: Job, committed: Callable[[], None]) -> None:
        with self._database.in_turn():
            job(*self._begin())
            self._commit()
        committed()
        if self._database.is_postgresql:
            self._begin()

    def _begin(self) -> tuple[Connection, Lane]:
        if self._held is None:
            with ExitStack() as opening:
                connection = opening.enter_context(self._database.write())
                self._held = connection, self._lock(connection)
                self._transaction = opening.pop_all()
        return self._held

    def _commit(self) -> None:
        transaction, self._transaction, self._held = self._transaction, None, None
        if transaction is not None:
            transaction.close()
