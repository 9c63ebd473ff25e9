"""Which workspaces can be reached. On several nodes those of a node that is away cannot, and all others go on.

A statement about one workspace runs on its node and fails with it. A statement about all workspaces would fail for all
of them, so each of its selects ends its condition with a mark that names a column with numbers of workspaces:

    select workspace_id from erasure where true /*here workspace_id*/ order by workspace_id limit 1

The mark is a comment, and stays one where there are no nodes, and while all of them answer. When a statement fails, the
coordinator is asked which nodes answer. While one does not, marks become a condition by which Citus leaves it out.

A node that hangs fails no statement: the coordinator waits for it, however long, also when it was told to stop. So
whoever has a connection for long has the coordinator asked as well; and where a node does not answer, connections whose
statement is past its time-out are ended from this side.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, TextClause, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from app.store.interruption import sever

#: While a node is away, it is looked for this often; and at most this often after failures.
LOOK_SECONDS: Final = 5.0
LEAST_SECONDS: Final = 1.0
#: A connection that is in use for this long may wait for a node that hangs.
SLOW_SECONDS: Final = 1.0
#: How often that is looked at, and how long after its time-out a statement is given up.
WATCH_SECONDS: Final = 0.5
OVERDUE_SECONDS: Final = 1.0
#: How long a node may take to answer, and all of them.
NODE_MS: Final = 2_000
LOOK_MS: Final = 10_000

_MARK: Final = re.compile(r"/\*here ([\w.]+)\*/")
_AWAY: Final = """
    select groupid, nodename || ':' || nodeport from pg_dist_node
    where noderole = 'primary' and shouldhaveshards
    and not coalesce(citus_check_connection_to_node(nodename, nodeport), false) order by 2
    """
#: 0 is the installation, which has alerts; a workspace that is being deleted may have no row any more.
_PLACES: Final = """
    select w.id, p.groupid
    from (select id from workspace union select workspace_id from workspace_deletion union select 0) w
    join pg_dist_placement p on p.shardid = get_shard_id_for_distribution_column('lane', w.id)
    """
#: Sessions whose statement should have ended. Exports may take their time, and say so.
_OVERDUE: Final = """
    select pid from pg_stat_activity
    where pid = any(%s) and state = 'active' and application_name <> 'export'
    and clock_timestamp() - query_start > make_interval(secs => %s)
    """

_T = TypeVar("_T")


def here(column: str) -> TextClause:
    """The mark as a condition, for statements that are no text."""
    return text(f"true /*here {column}*/")


def narrowed(statement: str, workspace_ids: Iterable[int]) -> str:
    """A statement for PostgreSQL, about these workspaces instead of all."""
    numbers = ",".join(map(str, workspace_ids))
    return _MARK.sub(lambda mark: f" and {mark[1]} = any('{{{numbers}}}'::bigint[])", statement)


class Reach:
    """Of an engine whose tables are on several nodes. Any thread asks it; one at a time asks the coordinator."""

    def __init__(self, engine: Engine, connect: Callable[[], psycopg.Connection], timeout_seconds: float) -> None:
        """`connect` makes a connection beside the engine's, of which none may be free. It is closed here.

        `timeout_seconds`: after which the coordinator ends a statement of the engine's, or tries to.
        """
        self._timeout = timeout_seconds
        self._connect = connect
        self._lock = Lock()
        self._doubted = False
        self._looked = float("-inf")
        #: Nodes that did not answer: {number: name}.
        self._away: Mapping[int, str] = {}
        #: {workspace: number of its node}, as far as it is known.
        self._places: Mapping[int, int] = {}
        self._locating = Lock()
        #: Workspaces that the coordinator did not know: {number: when it was asked, by time.monotonic}.
        self._nowhere: Mapping[int, float] = {}
        #: Connections in use: {entry of the pool: since when, by time.monotonic}.
        self._used: dict[ConnectionPoolEntry, float] = {}
        self._use = Lock()
        self._watcher: Thread | None = None
        self._closed = Event()
        event.listen(engine, "checkout", self._taken)
        event.listen(engine, "checkin", self._given)
        event.listen(engine, "before_cursor_execute", self._narrow, retval=True)
        event.listen(engine, "handle_error", self._doubt)

    def close(self) -> None:
        """Leave no thread behind: a launcher forks next. Whoever uses the engine again begins anew."""
        with self._use:
            watcher = self._watcher
        if watcher is None:
            return
        self._closed.set()
        watcher.join()
        self._closed.clear()
        with self._use:
            if self._watcher is watcher:
                self._watcher = None

    def look(self) -> list[str]:
        """Nodes that do not answer now, as `host:port`. Raises psycopg.Error when the coordinator does not either."""
        with self._lock:
            self._look()
        return self.away

    @property
    def away(self) -> list[str]:
        """Nodes that did not answer when they were asked last, as `host:port`."""
        return list(self._away.values())

    def is_away(self, workspace_id: int) -> bool:
        """Whether the workspace's node did not answer when it was asked last."""
        return bool(self._away) and self._places.get(workspace_id) in self._away

    def node(self, workspace_id: int) -> int:
        """The number of a workspace's node; -1 while it is not known. Asks nobody."""
        return self._places.get(workspace_id, -1)

    def by_node(self, items: Iterable[_T], workspace_of: Callable[[_T], int]) -> list[list[_T]]:
        """What belongs to workspaces of one node, together, in the order in which it came.

        A workspace that was moved a moment ago, or made, may be taken for one of another node: that costs time, and
        nothing else.
        """
        items = list(items)
        unknown = {workspace_of(item) for item in items} - self._places.keys()
        if unknown:
            self._locate(unknown)
        parts: dict[int, list[_T]] = {}
        for item in items:
            parts.setdefault(self._places.get(workspace_of(item), -1), []).append(item)
        return list(parts.values())

    def _narrow(
        self, _connection: Connection, _cursor: object, statement: str, parameters: Any, _context: object, _many: bool
    ) -> tuple[str, Any]:
        if "/*here " not in statement:
            return statement, parameters
        if self._doubted:
            self._look_again(LEAST_SECONDS)
        elif self._away:
            self._look_again(LOOK_SECONDS)
        away, places = self._away, self._places
        if not away:
            return statement, parameters
        return narrowed(statement, sorted(one for one, node in places.items() if node not in away)), parameters

    def _doubt(self, _context: ExceptionContext) -> None:
        self._doubted = True

    def _look_again(self, seconds: float) -> None:
        """Unless somebody did within `seconds`, or is about it: a node may take its time to say nothing. What a
        coordinator that does not answer means, others will say."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._looked >= seconds:
                self._look()
        except psycopg.Error:
            self._looked = time.monotonic()
        finally:
            self._lock.release()

    def _locate(self, unknown: set[int]) -> None:
        """Ask the coordinator where workspaces lie, which asks no node: whoever stores requests waits for this. Those
        that it does not know are asked for again after a second."""
        with self._locating:
            now = time.monotonic()
            nowhere = {one: asked for one, asked in self._nowhere.items() if now - asked < LEAST_SECONDS}
            if not unknown - self._places.keys() - nowhere.keys():
                return
            with suppress(psycopg.Error), self._connect() as connection:
                self._places = dict(connection.execute(_PLACES).fetchall())
            self._nowhere = dict.fromkeys(unknown - self._places.keys(), now) | nowhere

    def _look(self) -> None:
        self._doubted = False
        with self._connect() as connection, connection.transaction():
            connection.execute(f"set local citus.node_connection_timeout = {NODE_MS}")
            connection.execute(f"set local statement_timeout = {LOOK_MS}")
            away: dict[int, str] = dict(connection.execute(_AWAY).fetchall())
            self._places = dict(connection.execute(_PLACES).fetchall())
            self._away = away
            self._looked = time.monotonic()
            if away:
                self._give_up(connection)

    def _give_up(self, connection: psycopg.Connection) -> None:
        """End connections whose statement is past its time-out: their thread goes on, the session not."""
        with self._use:
            used = {
                entry.dbapi_connection.info.backend_pid: (entry, since)
                for entry, since in self._used.items()
                if entry.dbapi_connection is not None
            }
        overdue = connection.execute(_OVERDUE, (list(used), self._timeout + OVERDUE_SECONDS)).fetchall()
        with self._use:  # so that none of them is given back meanwhile
            for (pid,) in overdue:
                entry, since = used[pid]
                if self._used.get(entry) == since:
                    sever(entry.dbapi_connection)

    def _taken(self, _driver: object, entry: ConnectionPoolEntry, _proxy: object) -> None:
        with self._use:
            self._used[entry] = time.monotonic()
            if self._watcher is None:
                self._watcher = Thread(target=self._watch, name="nodes", daemon=True)
                self._watcher.start()

    def _given(self, _driver: object, entry: ConnectionPoolEntry) -> None:
        with self._use:
            self._used.pop(entry, None)

    def _watch(self) -> None:
        """Look when somebody has a connection for long, and on while a node is away. Ends when nobody has one."""
        while not self._closed.wait(WATCH_SECONDS):
            with self._use:
                if not self._used and not self._away:
                    self._watcher = None
                    return
                slow = [since + SLOW_SECONDS for since in self._used.values()]
            now = time.monotonic()
            # The look that tells what somebody is waiting for is at once, and further ones are not.
            new = any(self._looked < since <= now for since in slow)
            if new:
                self._look_again(LEAST_SECONDS)
            elif self._away or any(since <= now for since in slow):
                self._look_again(LOOK_SECONDS)
