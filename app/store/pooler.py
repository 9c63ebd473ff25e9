"""A pooler in transaction mode before PostgreSQL, such as PgBouncer: one connection of ours is many of the server's.

A transaction gets some session of the server, and the next one another. So nothing may be left in a session: settings
are sent with each transaction's `begin`, in the same round trip, and no statement is prepared. A pooler refuses or
drops the options of a connection, and gives it a process number of its own: by both it is noticed.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import psycopg
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.pool import ConnectionPoolEntry

#: What PgBouncer says of options, unless it was told to ignore them.
_REFUSED: Final = "unsupported startup parameter"
#: Whether the session is ours alone, and has our settings. Some poolers hand on the process number, or the options.
#: And whether the database has the extension that puts tables on several nodes.
_OURS: Final = (
    "select pg_backend_pid() = {pid} and current_setting('enable_seqscan') = 'off',"
    " exists (select 1 from pg_extension where extname = 'citus')"
)
#: Whether it has done so.
_DISTRIBUTED: Final = "select exists (select 1 from pg_dist_partition where partmethod = 'h')"
#: How many seconds ago the server made this session.
_AGE: Final = (
    "; select extract(epoch from clock_timestamp() - backend_start) from pg_stat_get_activity(pg_backend_pid())"
)
_LEVELS: Final = {
    None: "",
    psycopg.IsolationLevel.READ_COMMITTED: " isolation level read committed",
    psycopg.IsolationLevel.REPEATABLE_READ: " isolation level repeatable read",
    psycopg.IsolationLevel.SERIALIZABLE: " isolation level serializable",
}


#: Where PostgreSQL says that it gave up waiting for a standby, and goes on as if all were well.
_GAVE_UP: Final = "SyncRepWaitForLSN"


def is_distributed(connection: Connection) -> bool:
    """Whether the tables of workspaces were on several nodes when this connection was made: a commit is then on the
    node's disk as the node itself has it set, and a statement may not set anything while it writes."""
    return bool(connection.info.get("distributed"))


class UnreplicatedError(TimeoutError):
    """A commit is on this server's disk, and on none of the standbys that it should have waited for. Somebody has ended
    the wait, and PostgreSQL answers then as if all were well. The commit may be lost, as after any lost answer."""


def confirm(connection: Connection) -> None:
    """Behind a commit on PostgreSQL. Raises UnreplicatedError."""
    if connection.info.pop("unreplicated", False):
        raise UnreplicatedError


class Sessions:
    """The sessions behind an engine's connections: ours alone, with their settings, or shared by way of a pooler."""

    def __init__(
        self, engine: Engine, settings: Mapping[str, str], *, dated: bool, distributed: Callable[[], None]
    ) -> None:
        """`settings` of PostgreSQL by name, without blanks. `dated`: each transaction has to know how old its session
        is, see `app.store.engine.since`. `distributed` is called by each connection that finds tables on several nodes.
        """
        self._settings = settings
        self._dated = dated
        self._distributed = distributed
        self._engine = engine
        #: Whether the last connection that was made leads to a pooler; None before the first.
        self._pooled: bool | None = None
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "connect", self._look)
        event.listen(engine, "begin", self._begin)

    def pooled(self) -> bool:
        """Whether connections lead to a pooler. Makes one where there was none. Raises what that raises."""
        if self._pooled is None:
            self._engine.connect().close()
        return bool(self._pooled)

    def _connect(self, _dialect: Dialect, _record: object, arguments: list[Any], named: dict[str, Any]) -> Any:
        options = " ".join(f"-c {name}={value}" for name, value in self._settings.items())
        if not self._pooled:
            try:
                return psycopg.connect(*arguments, options=options, **named)
            except psycopg.OperationalError as error:
                if _REFUSED not in str(error):
                    raise
        driver = psycopg.connect(*arguments, **named)
        self._pooled = True
        return driver

    def _look(self, driver: psycopg.Connection, record: ConnectionPoolEntry) -> None:
        record.info["since"] = time.monotonic()
        driver.autocommit = True
        row = driver.execute(_OURS.format(pid=driver.info.backend_pid).encode()).fetchone()
        record.info["distributed"] = False
        if row is not None and row[1]:
            record.info["distributed"] = driver.execute(_DISTRIBUTED).fetchone() == (True,)
        if record.info["distributed"]:
            self._distributed()
        driver.autocommit = False
        self._pooled = record.info["pooled"] = row is None or not row[0]
        if self._pooled:
            driver.prepare_threshold = None

        def note(notice: psycopg.errors.Diagnostic) -> None:
            if notice.source_function == _GAVE_UP:  # the words are in the server's language
                record.info["unreplicated"] = True

        driver.add_notice_handler(note)

    def _begin(self, connection: Connection) -> None:
        """In autocommit the driver leaves the `begin` to us, and its commit is the same."""
        driver: Any = connection.connection.driver_connection
        if not connection.info["pooled"] or connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return
        kind = _LEVELS[driver.isolation_level] + (" read only" if driver.read_only else "")
        settings = "".join(f"; set local {name} = '{value}'" for name, value in self._settings.items())
        driver.autocommit = True
        cursor = driver.execute(f"begin{kind}{settings}{_AGE if self._dated else ''}")
        if self._dated:
            while cursor.nextset():
                pass
            # Taken behind the answer, so that it is no earlier than it was.
            connection.info["since"] = time.monotonic() - float(cursor.fetchone()[0])
