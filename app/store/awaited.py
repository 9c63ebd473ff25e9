"""A statement of PostgreSQL that an event loop waits for, without a thread.

A thread costs more than what it would do: it is woken, takes the interpreter from the loop, waits for the socket and
wakes the loop again. psycopg's own connections for asyncio make a lock, an event and a time-out of each wait. So this
is libpq, as psycopg offers it, on a connection that psycopg has made: one prepared statement, executed one at a time.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult

_NAME = b"awaited"


class AwaitedStatement:
    """One statement on a connection in autocommit, which nobody else uses meanwhile."""

    def __init__(self, driver: "psycopg.Connection[Any]", sql: str) -> None:
        """Prepare it, with `$1` for the first parameter and so on. Waits for the server; raises psycopg.Error."""
        self._pgconn: PGconn = driver.pgconn
        self._encoding = driver.info.encoding
        result = self._pgconn.prepare(_NAME, sql.encode())
        if result.status != ExecStatus.COMMAND_OK:
            raise error_from_result(result, self._encoding)
        self._loop: asyncio.AbstractEventLoop | None = None
        #: A descriptor of our own. libpq closes its own when the connection is lost, and another may get its number.
        self._socket = os.dup(self._pgconn.socket)
        self.is_open = True
        self._waiter: asyncio.Future[list[PGresult]] | None = None
        self._results: list[PGresult] = []
        self._is_sending = False

    async def run(self, parameters: Sequence[bytes], formats: Sequence[Format]) -> list[tuple[bytes, ...]]:
        """The rows, each value in PostgreSQL's binary format. Raises psycopg.Error; then it may have been executed.

        Whoever is cancelled meanwhile has to call `close`.
        """
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            # For good: between two statements it tells that the connection has ended.
            loop.add_reader(self._socket, self._arrived, loop)
        self._pgconn.send_query_prepared(_NAME, parameters, formats, Format.BINARY)
        self._waiter = waiter = loop.create_future()
        self._send(loop)
        (result,) = await waiter
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result, self._encoding)
        columns = range(result.nfields)
        return [tuple([result.get_value(row, n) or b"" for n in columns]) for row in range(result.ntuples)]

    def close(self) -> None:
        """Wait for nothing more. The connection itself is somebody else's to close."""
        if not self.is_open:
            return
        self.is_open = False
        if self._loop is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        os.close(self._socket)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the system what it takes at once, and the rest when it takes more."""
        is_sending = bool(self._pgconn.flush())
        if is_sending and not self._is_sending:
            loop.add_writer(self._socket, self._arrived, loop)
        elif self._is_sending and not is_sending:
            loop.remove_writer(self._socket)
        self._is_sending = is_sending

    def _arrived(self, loop: asyncio.AbstractEventLoop) -> None:
        """Something has come, or more can be sent. The server may wait for us to read before it reads on."""
        try:
            self._pgconn.consume_input()
            if self._is_sending:
                self._send(loop)
            while self._waiter is not None and not self._pgconn.is_busy():
                if (result := self._pgconn.get_result()) is not None:
                    self._results.append(result)
                    continue
                waiter, self._waiter = self._waiter, None
                results, self._results = self._results, []
                if not waiter.done():
                    waiter.set_result(results)
        except psycopg.Error as error:
            self.close()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_exception(error)
