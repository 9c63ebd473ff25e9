"""Connections: PostgreSQL through psycopg 3, SQLite in two files, and which errors are nobody's fault."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar
from urllib.parse import unquote

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from app.store import binary
from app.store.interruption import interruptible
from app.store.pooler import Sessions, confirm, is_distributed
from app.store.reach import Reach

_T = TypeVar("_T")

CONNECT_TIMEOUT_SECONDS: Final = 3
TIMEOUT_SECONDS: Final = 15.0
SQLITE_BUSY_MS: Final = 5_000
#: SQLite: statements that a connection keeps parsed, and what it keeps of a file in memory: all that a batch looks at,
#: unless a worker has more.
STATEMENTS: Final = 512
CACHE_MEGABYTES: Final = 64.0
#: SQLite: bytes of the log behind which a commit writes the log back, and which its file keeps when it begins anew.
#: With more of them a page that changes often is written back less often.
LOG_BYTES: Final = 64_000_000
#: Bytes of a page, as SQLite makes files unless told otherwise.
_PAGE_BYTES: Final = 4_096

#: PostgreSQL: an expression that makes the commit of its transaction wait for the disk where the settings would
#: not. Stronger settings, such as `remote_apply`, are left as they are.
WAIT_FOR_DISK: Final = (
    "case when current_setting('synchronous_commit') in ('off', 'local')"
    " then set_config('synchronous_commit', 'on', true) end"
)


def normalise_url(url: str) -> str:
    """A PostgreSQL URL as SQLAlchemy wants it: `postgres://` and `postgresql://` mean psycopg 3, and several hosts, as
    libpq has them (`host1:5432,host2:5432`), are parameters."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            url = "postgresql+psycopg://" + url.removeprefix(prefix)
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    user, _, hosts = authority.rpartition("@")
    if not scheme.startswith("postgresql") or "," not in hosts:
        return url
    name, _, query = path.partition("?")
    each = [f"host={host if ':' in host else f'{host}:5432'}" for host in hosts.split(",")]
    return f"{scheme}://{user}{'@' if user else ''}/{name}?{'&'.join([*each, *([query] if query else [])])}"


class Database:
    """The store's connections. `main` holds everything but the inbox, `inbox` the inbox; one server on PostgreSQL."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        apply: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        lock_seconds: float | None = None,
        log_bytes: int = LOG_BYTES,
        cache_megabytes: float = CACHE_MEGABYTES,
    ) -> None:
        """`apply` opens the database for a worker, whose commits may lose their tail in a power cut: see `durable`.

        `timeout_seconds` bounds, on PostgreSQL, a statement, a wait for a lock and a transaction that stands idle;
        `lock_seconds` a wait for a lock, where that is to be less. `log_bytes`: about how large the log of each file of
        SQLite may become, unless somebody reads for long. `cache_megabytes`: what a connection to SQLite keeps of the
        main file in memory.
        """
        self.url = normalise_url(url)
        self.timeout_seconds = timeout_seconds
        #: From the first connection on that finds the tables on several nodes.
        self._reach: Reach | None = None
        self._waits_for_disk = not apply
        self.is_postgresql = self.url.startswith("postgresql")
        if self.is_postgresql:
            timeout_ms = int(timeout_seconds * 1000)
            lock_ms = timeout_ms if lock_seconds is None else int(lock_seconds * 1000)
            # For a worker a lock that is not given has to differ from a statement that takes too long, which counts.
            self._lock_ms = lock_ms = timeout_ms * 2 // 3 if apply else lock_ms
            self.main, self._sessions = _postgresql(
                self.url, pool_size, timeout_ms, lock_ms, self._distributed, apply=apply
            )
            self.inbox = self.main
            self._autocommit = self.main.execution_options(isolation_level="AUTOCOMMIT")
            self._snapshot = self.main.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            return
        path = sqlite_file(self.url)
        self._turn = Lock()
        # A power cut may lose the last applied batches, together with their cursor; they are applied again. The inbox
        # loses nothing.
        self.main = _sqlite(path, "NORMAL" if apply else "FULL", pool_size, log_bytes, cache_megabytes)
        self.inbox = _sqlite(inbox_file(path), "FULL", pool_size, log_bytes)

    def dispose(self) -> None:
        self.main.dispose()
        if self.inbox is not self.main:
            self.inbox.dispose()
        if self._reach is not None:
            self._reach.close()

    def checkpoint(self, engine: Engine | None = None) -> None:
        """SQLite: write a WAL, by default of the main file, back and truncate it: deleted rows are in neither then.

        If somebody is reading or writing, a later call does it, or later writes overwrite the log.
        """
        if self.is_postgresql:
            return
        plain = (engine or self.main).raw_connection()
        try:
            plain.cursor().execute("pragma wal_checkpoint(truncate)")  # outside of any transaction
        finally:
            plain.close()

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """SQLite: a block in which no other thread is that reads or writes much. Nobody in it waits for another.

        A connection that others write beside has to read all that it looks at anew. So those who take turns use one
        connection, the one that was used last, and what one has read is in memory when the next one writes it.
        """
        with nullcontext() if self.is_postgresql else self._turn:
            yield

    @contextmanager
    def write(self, engine: Engine | None = None, *, lock_ms: int | None = None) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back on an exception.

        Its commit waits for the disk, also where the server would not; a worker says for itself that it need not. It
        raises UnreplicatedError where the server stopped waiting for a standby.
        `lock_ms`: how long a lock of PostgreSQL is waited for, where that is not as long as for everything else.
        """
        with (
            (engine or self.main).connect().execution_options(onefold_write=True) as connection,
            interruptible(connection),
        ):
            with connection.begin():
                if self.is_postgresql:
                    self._set_up(connection, lock_ms)
                yield connection
            if self.is_postgresql:
                confirm(connection)

    def _set_up(self, connection: Connection, lock_ms: int | None) -> None:
        """Say in a transaction of PostgreSQL that writes what it waits for."""
        wanted = [WAIT_FOR_DISK] if self._waits_for_disk else []
        if is_distributed(connection):
            # Rows are locked on nodes, which hear of `set local` alone, and when they are told to.
            wanted.append("set_config('citus.propagate_set_commands', 'local', true)")
        elif lock_ms is not None:
            wanted.append(f"set_config('lock_timeout', '{lock_ms}', true)")
        if wanted:
            connection.exec_driver_sql(f"select {', '.join(wanted)}")
        if is_distributed(connection):
            connection.exec_driver_sql(f"set local lock_timeout = {lock_ms or self._lock_ms}")

    def _distributed(self) -> None:
        if self._reach is None:
            self._reach = Reach(self.main, _beside(self.main), self.timeout_seconds)

    def look_for_nodes(self) -> list[str]:
        """Nodes that do not answer now, as `host:port`; none where there are no nodes. Asks each of them.

        Raises what the database raises.
        """
        return [] if self._reach is None else self._reach.look()

    @property
    def nodes_away(self) -> list[str]:
        """Those that did not answer when somebody looked last: statements about all workspaces leave theirs out."""
        return [] if self._reach is None else self._reach.away

    def is_away(self, workspace_id: int) -> bool:
        """Whether the node of a workspace was away when somebody looked last. Asks nobody."""
        return self._reach is not None and self._reach.is_away(workspace_id)

    def node(self, workspace_id: int) -> int:
        """The number of the workspace's node: 0 where there are none, less while it is not known."""
        return 0 if self._reach is None else self._reach.node(workspace_id)

    def by_node(self, items: Iterable[_T], workspace_of: Callable[[_T], int]) -> list[list[_T]]:
        """What one transaction may write without depending on more than one node: all of it where there are none."""
        return [list(items)] if self._reach is None else self._reach.by_node(items, workspace_of)

    @property
    def dialect(self) -> str:
        """postgresql or sqlite."""
        return self.main.dialect.name

    @property
    def keeps_sessions(self) -> bool:
        """Whether connections are sessions of PostgreSQL, which keep what they are told: no pooler stands before it."""
        return self.is_postgresql and not self._sessions.pooled()

    def statements(self) -> Connection:
        """A connection to PostgreSQL on which each statement is a transaction of its own: one round trip, not three.

        The caller closes it, and throws it away after an error. Its commits wait for the disk where the server's do: a
        statement that must wait in any case has WAIT_FOR_DISK in it. Behind a pooler it has none of our settings.
        """
        return self._autocommit.connect()

    def vacuum(self, table: str) -> None:
        """PostgreSQL: make room in a table, however long it takes."""
        with self.statements() as connection:
            if not self.keeps_sessions:  # there they have no timeout, unless their role has
                connection.exec_driver_sql(f"vacuum {table}")
                return
            connection.exec_driver_sql("set statement_timeout = 0")
            connection.exec_driver_sql(f"vacuum {table}")
            connection.exec_driver_sql("reset statement_timeout")

    @contextmanager
    def read(self, engine: Engine | None = None, *, seconds: float | None = None) -> Iterator[Connection]:
        """A short read transaction, which can write nothing. All its statements see the database at one instant, that
        of the first of them: so nobody is missed who passes from one look-up to the next meanwhile.

        SQLite has an instant for each of its two files. `seconds`: how long a statement of PostgreSQL may take, where
        that is not as long as everything else.
        """
        source = self._snapshot if self.is_postgresql else engine or self.main
        with source.connect() as connection, interruptible(connection), connection.begin():
            if seconds is not None and self.is_postgresql:
                timeout_ms = max(1, int(seconds * 1000))
                connection.exec_driver_sql(f"select set_config('statement_timeout', '{timeout_ms}', true)")
            yield connection

    @contextmanager
    def glance(self, engine: Engine | None = None) -> Iterator[Connection]:
        """As `read`, for a single statement. Where connections are sessions of PostgreSQL (`keeps_sessions`) it is a
        transaction by itself, which takes one round trip, not three, and may write."""
        if not self.keeps_sessions:
            with self.read(engine) as connection:
                yield connection
            return
        # The server hears of no `begin`. But a connection that is lost is noticed as anywhere else.
        with self._autocommit.connect() as connection, interruptible(connection), connection.begin():
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As `read`, for as long as it takes: to read a whole workspace, and to give it to somebody slow.

        PostgreSQL can remove no row meanwhile that was deleted or replaced since; SQLite cannot shorten its log.
        """
        with self.read() as connection:
            if self.is_postgresql:
                # The sweeper ends stalled transactions of sessions that are called onefold (app/store/sessions.py).
                connection.exec_driver_sql(
                    "select set_config('statement_timeout', '0', true), set_config('application_name', 'export', true),"
                    " set_config('idle_in_transaction_session_timeout', '0', true)"
                )
            yield connection


def sqlite_file(url: str) -> Path:
    """The file that a URL `sqlite:///…` leads to; `%3F` and the like stand for characters of its path.

    Raises ValueError.
    """
    _, mark, path = url.partition("sqlite:///")
    path = unquote(path)
    if not mark or not path or path == ":memory:":
        raise ValueError("a SQLite database needs a file")
    return Path(path)


def inbox_file(main: Path) -> Path:
    """The file of the inbox beside the file of everything else."""
    return main.with_name(f"{main.stem}-inbox{main.suffix}")


def _postgresql(
    url: str, pool_size: int, timeout_ms: int, lock_ms: int, distributed: Callable[[], None], *, apply: bool
) -> tuple[Engine, Sessions]:
    work_mem = "32MB" if apply else "4MB"
    settings = {
        "statement_timeout": str(timeout_ms),
        "idle_in_transaction_session_timeout": str(timeout_ms),
        "lock_timeout": str(lock_ms),
        "timezone": "UTC",
        "work_mem": work_mem,
        # Every statement of the store looks rows up by keys. Where statistics are missing or old, the planner takes a
        # workspace for small and reads all of it for each. Or it takes few rows for many, and several processes to read
        # an index of all rows, where another index has those few.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
    }
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        pool_pre_ping=False,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "onefold apply" if apply else "onefold",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 2,
            "tcp_user_timeout": timeout_ms,
        },
    )
    event.listen(engine, "connect", lambda driver, _record: binary.register(driver))
    return engine, Sessions(engine, settings, dated=apply, distributed=distributed)


def _beside(engine: Engine) -> Callable[[], psycopg.Connection]:
    """What makes connections to the same database that are none of the engine's."""
    arguments, named = engine.dialect.create_connect_args(engine.url)
    return lambda: psycopg.connect(*arguments, **named, connect_timeout=CONNECT_TIMEOUT_SECONDS)


def _date(_driver: object, record: ConnectionPoolEntry) -> None:
    record.info["since"] = time.monotonic()


def since(connection: Connection) -> float:
    """When this connection to the database was made, by time.monotonic: the server has not crashed since then.

    Behind a pooler, of a worker, it is the server's session that a transaction has.
    """
    made: float = connection.info["since"]
    return made


def _sqlite(
    path: Path, synchronous: str, pool_size: int, log_bytes: int, cache_megabytes: float = CACHE_MEGABYTES
) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),  # as a text, a `?` would begin its options
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_TIMEOUT_SECONDS,
        pool_use_lifo=True,  # the one that was used last has most of the file in memory
        connect_args={"check_same_thread": False, "timeout": SQLITE_BUSY_MS / 1000, "cached_statements": STATEMENTS},
    )

    event.listen(engine, "connect", _date)

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so, not where the driver guesses
        connection.execute("pragma journal_mode = wal")
        connection.execute(f"pragma synchronous = {synchronous}")
        connection.execute(f"pragma cache_size = -{int(cache_megabytes * 1000)}")
        connection.execute(f"pragma wal_autocheckpoint = {max(1, log_bytes // _PAGE_BYTES)}")
        connection.execute(f"pragma journal_size_limit = {log_bytes}")
        connection.execute("pragma temp_store = memory")
        # SQLite overwrites deleted content with zeros, also where it was built not to.
        connection.execute("pragma secure_delete = on")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read transaction cannot become a write after somebody else wrote. So writers begin as writers.
        write = connection.get_execution_options().get("onefold_write", False)
        connection.exec_driver_sql("begin immediate" if write else "begin")

    return engine


#: What a call of the store may raise when the database is away: bulk writes go past SQLAlchemy to the driver.
DATABASE_ERRORS: Final = (SQLAlchemyError, psycopg.Error, sqlite3.Error, OSError)

#: SQLSTATE classes that say nothing about the data: connection, resources, operator, I/O, deadlock, timeouts.
_TRANSIENT_CLASSES: Final = ("08", "53", "57", "58", "25", "40", "55", "72", "XX", "F0")


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may succeed: lost connections, timeouts, deadlocks, a full disk, lack of memory."""
    if isinstance(error, (MemoryError, ConnectionError, TimeoutError, PoolTimeoutError, OSError)):
        return True
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        if error.orig is not None and isinstance(error.orig, psycopg.Error):
            return is_transient(error.orig)
        return isinstance(error, (OperationalError, InterfaceError))
    if isinstance(error, psycopg.Error):  # from a bulk write, which goes past SQLAlchemy
        if error.sqlstate is not None:
            return error.sqlstate[:2] in _TRANSIENT_CLASSES
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return isinstance(error, (sqlite3.OperationalError, sqlite3.InterfaceError))


#: SQLSTATEs of what a request can cause by itself.
_LOCK_NOT_GIVEN: Final = "55P03"
_OUT_OF_MEMORY, _IDLE_TOO_LONG, _CANCELLED = "53200", "25P03", "57014"


def is_costly(error: BaseException, late: bool) -> bool:
    """Whether a transient error says that something took too much memory or time. `late`: the timeout was over, so that
    it is what ended the statement; else an operator did."""
    if isinstance(error, MemoryError):
        return True
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = cause.sqlstate if isinstance(cause, psycopg.Error) else None
    return state in (_OUT_OF_MEMORY, _IDLE_TOO_LONG) or (state == _CANCELLED and late)


def is_locked(error: BaseException) -> bool:
    """Whether a lock was not given in time. Nothing of the transaction is stored."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(cause, psycopg.Error) and cause.sqlstate == _LOCK_NOT_GIVEN


def is_lost(error: BaseException) -> bool:
    """Whether an existing connection broke: a new one may work at once. False when none could be made."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def ping(database: Database) -> None:
    """Raises SQLAlchemyError when the database does not answer."""
    with database.read() as connection:
        connection.execute(text("select 1"))
