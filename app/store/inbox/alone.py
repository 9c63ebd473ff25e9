"""Requests of one stream into the inbox of PostgreSQL, without a thread: see app.store.awaited.

A flush for one stream of one workspace, which most are, is a single statement. It goes over a connection that is kept
for it, in one round trip.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from app.store.awaited import AwaitedStatement
from app.store.engine import Database, is_locked
from app.store.inbox import log as inbox
from app.store.inbox.log import Appended, Entry, UnknownWorkspaceError
from app.store.pooler import confirm, is_distributed

#: Bytes of bodies that are given to the connection at once: more would hold up the loop.
MAX_BYTES: Final = 1024 * 1024


class LoneAppend:
    """The connection and its statement. It is opened by a thread, and used by an event loop."""

    def __init__(self, database: Database, lock_ms: int) -> None:
        """`lock_ms`: how long a counter row is waited for."""
        self._database = database
        self._lock_ms = lock_ms
        self._kept: tuple[Connection, AwaitedStatement] | None = None
        #: Where workspaces lie on several nodes, it stays closed: what Citus makes of the statement was not measured.
        self._is_distributed = False

    @property
    def is_open(self) -> bool:
        """Whether `append` can be called: there is a connection, as far as is known."""
        return self._kept is not None and self._kept[1].is_open

    def open(self) -> None:
        """Make the connection, where the database keeps what its sessions are told. Waits; raises DATABASE_ERRORS."""
        self.close()
        if self._is_distributed or not self._database.keeps_sessions:
            return
        connection = self._database.statements()
        try:
            if is_distributed(connection):
                self._is_distributed = True
                connection.close()
                return
            connection.exec_driver_sql(f"set lock_timeout = {self._lock_ms}")
            driver: Any = connection.connection.driver_connection
            self._kept = connection, AwaitedStatement(driver, inbox.APPEND)
        except BaseException:
            _throw_away(connection)
            raise

    async def append(self, workspace_id: int, stream: int, entries: Sequence[Entry], now_us: int) -> list[Appended]:
        """As app.store.inbox.log.append, committed. After another error than those of that, it may have been.

        Raises LookupError where it is not open.
        """
        if self._kept is None:
            raise LookupError("no connection")
        connection, statement = self._kept
        try:
            rows = await statement.run(inbox.parameters(workspace_id, stream, entries, now_us), inbox.FORMATS)
            found = inbox.appended(workspace_id, entries, rows)
            confirm(connection)
        except BaseException as error:
            if not isinstance(error, UnknownWorkspaceError) and not is_locked(error):
                self.close()
            raise
        return found

    def close(self) -> None:
        if self._kept is None:
            return
        (connection, statement), self._kept = self._kept, None
        statement.close()
        _throw_away(connection)


def _throw_away(connection: Connection) -> None:
    """It does not wait for locks as the others of its pool do."""
    connection.invalidate()
    connection.close()
