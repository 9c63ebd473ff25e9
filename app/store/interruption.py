"""Ending a call of the store whose caller is gone: its statement would go on for as long as the database allows."""

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import Event, Lock
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import Connection

from app.store.pooler import is_distributed

#: How long the request to cancel a statement may take on its way to PostgreSQL.
CANCEL_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.05
#: On several nodes: how long a statement may take to end after it was cancelled. The coordinator hands the cancellation
#: on to the node, and waits for as long as one that hangs does.
HEED_SECONDS: Final = 1.0

_T = TypeVar("_T")


class AbandonedError(TimeoutError):
    """The caller of this call of the store does not wait for it any longer."""


class Interruption:
    """One call of the store, as another thread sees it that may end it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._drivers: list[Any] = []
        #: Of these, those to several nodes.
        self._distributed: list[Any] = []
        self._interrupted = False
        #: Interrupted, and no connection is in use.
        self._idle = Event()

    def run(self, work: Callable[[], _T]) -> _T:
        """The call itself. Raises AbandonedError, or an error of the database, once it is interrupted."""
        token = _current.set(self)
        try:
            self.check()
            return work()
        finally:
            _current.reset(token)

    def check(self) -> None:
        """Raises AbandonedError once the call is interrupted."""
        if self._interrupted:
            raise AbandonedError

    def interrupt(self) -> None:
        """End the statements of the call that run now, let no other begin, and return when the call has noticed.

        To be called once, in a thread of its own: it takes as long as the database does.
        """
        with self._lock:
            self._interrupted = True
            if not self._drivers:
                self._idle.set()
        pause, severs = FIRST_PAUSE_SECONDS, time.monotonic() + HEED_SECONDS
        while not self._idle.is_set():
            self._cancel()
            # Between two statements it was in vain.
            self._idle.wait(pause)
            pause = min(2 * pause, CANCEL_SECONDS)
            if time.monotonic() >= severs:
                self._sever()

    def _cancel(self) -> None:
        with self._lock:
            drivers = list(self._drivers)
        # Without the lock, for which the call waits when a statement ends: its connection is not used again, so what
        # arrives late meets nobody.
        for driver in drivers:
            try:
                if isinstance(driver, sqlite3.Connection):
                    driver.interrupt()
                else:
                    driver.cancel_safe(timeout=CANCEL_SECONDS)
            except Exception:  # noqa: BLE001, S112 - the connection may be closed or broken, in any way of its driver
                continue

    def _sever(self) -> None:
        with self._lock:  # so that it is still the call's
            for driver in self._distributed:
                sever(driver)

    def begin(self, driver: Any, *, distributed: bool = False) -> None:
        """The call uses this connection from now on. Raises AbandonedError."""
        with self._lock:
            self.check()
            self._drivers.append(driver)
            if distributed:
                self._distributed.append(driver)

    def end(self, driver: Any) -> bool:
        """The call is done with this connection. True when nobody may use it again."""
        with self._lock:
            self._drivers.remove(driver)
            if driver in self._distributed:
                self._distributed.remove(driver)
            if self._interrupted and not self._drivers:
                self._idle.set()
            return self._interrupted


def sever(driver: Any) -> None:
    """End a connection to PostgreSQL that another thread waits for: it gets an error, as when the server had died."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(driver.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


_current: ContextVar[Interruption | None] = ContextVar("interruption", default=None)


def check() -> None:
    """For a long call of the store, between its parts. Raises AbandonedError once nobody waits for it."""
    call = _current.get()
    if call is not None:
        call.check()


@contextmanager
def interruptible(connection: Connection) -> Iterator[None]:
    """A block whose statements on this connection end when the call that it belongs to is interrupted."""
    call = _current.get()
    if call is None:
        yield
        return
    driver = connection.connection.driver_connection
    call.begin(driver, distributed=is_distributed(connection))
    try:
        yield
    finally:
        if call.end(driver):
            connection.invalidate()
