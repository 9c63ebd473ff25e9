"""Sections once more as jsonb, in `profile_value`, so that PostgreSQL counts segments without parsing any text.

The sections themselves stay text and are what is true. Only workspaces that use segments have these rows:

* `begin` marks the workspace in its lane, under the lane's lock. Every batch from then on writes both.
* `fill` copies what was there before, some profiles at a time, and goes on where it was when it is called again.
* Once all are copied, `is_filled` says so, and segments read `profile_value`; until then they read the text.
* `app.store.segments.upkeep` removes them again.

A worker of an earlier version, which knows nothing of values, may still apply requests. So each batch that writes
values notes in the lane how far both cursors are then (`lane.values_at`), and only where they were as noted before.
Where the two differ, a batch wrote no values, and segments read the text.

A copy never replaces what a batch wrote, and it holds its profiles against deletion: what it copies is there when it
commits, or a deletion that waited for it takes the copy along. It gives up soon where it has to wait for a batch.
"""

import time
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.domain.jobs import SEGMENT_PREVIEW
from app.domain.profile import COMMERCE, CORE, CUSTOM, DEVICES, EVENTS, PURCHASES
from app.store import lane
from app.store.engine import Database

#: What segments look at.
SECTIONS: Final = (CORE, CUSTOM, EVENTS, PURCHASES, DEVICES, COMMERCE)
#: Profiles of one transaction: some hundredths of a second.
CHUNK: Final = 500
#: Milliseconds that a copy waits for a row that a batch is writing.
_LOCK_MS: Final = 50

#: jsonb holds no NUL. None gets in, but a directory of long ago may have one.
_NUL: Final = r"strpos({0}, '\u0000') > 0"
_WITHOUT_NUL: Final = r"regexp_replace({0}, '(?<!\\)((?:\\\\)*)\\u0000', '\1\ufffd', 'g')"


def _parsed(doc: str) -> str:
    """A JSON text as jsonb."""
    return f"cast(case when {_NUL.format(doc)} then {_WITHOUT_NUL.format(doc)} else {doc} end as jsonb)"


_INTO: Final = "insert into profile_value (workspace_id, pid, part, doc)"


def also(part: str) -> str:
    """The insert that writes sections `r`, all of them of one `part`, or each with its own."""
    there = ", ".join(map(str, SECTIONS))
    return (
        f"{_INTO} select r.workspace_id, r.pid, {part}, {_parsed('r.doc')} from r where {part} in ({there})"
        " on conflict (workspace_id, pid, part) do update set doc = excluded.doc"
    )


HOLD_LANE: Final = text("select 1 from lane where workspace_id = :workspace_id for update")
MARK: Final = text(
    "update lane set with_values = true, values_at = cursor_normal + cursor_bulk"
    " where workspace_id = :workspace_id and not with_values"
)
_BEGIN: Final = text(
    "insert into value_filling (workspace_id, pid, used_us) values (:workspace_id, -1, :now_us) on conflict do nothing"
)
_LEAVING: Final = text("select leaving from value_filling where workspace_id = :workspace_id")
_COPIED: Final = text("select 1 from value_filling where workspace_id = :workspace_id and pid is null and not leaving")
_IN_STEP: Final = text(
    "select 1 from lane where workspace_id = :workspace_id and with_values and values_at = cursor_normal + cursor_bulk"
)
#: One process at a time.
_AT: Final = text("select pid from value_filling where workspace_id = :workspace_id and not leaving for update")
_MOVE: Final = text("update value_filling set pid = :pid where workspace_id = :workspace_id")
_USERS: Final = text(
    """
    select workspace_id from segment where true /*here workspace_id*/
    union select workspace_id from job where kind = :preview and created_us >= :since_us /*here workspace_id*/
    union select workspace_id from value_filling where true /*here workspace_id*/
    except select workspace_id from value_filling where (pid is null or leaving) /*here workspace_id*/
    except select workspace_id from workspace_deletion
    order by workspace_id
    """
)
_HOLD: Final = text(
    "select pid from profile where workspace_id = :workspace_id and pid > :pid order by pid limit :most for key share"
)
#: Lateral, behind `offset 0`: where statistics are missing, the planner may look through the whole workspace otherwise.
_COPY: Final = [
    text(
        f"{_INTO} select :workspace_id, p.pid, {part}, {_parsed('s.doc')} from unnest(cast(:pids as bigint[])) p(pid)"
        f" cross join lateral (select s.doc from {table} s where s.workspace_id = :workspace_id and s.pid = p.pid"
        f"{condition} offset 0) s on conflict do nothing"
    )
    for part, table, condition in (
        (CORE, "profile_core", ""),
        (CUSTOM, "profile_custom", ""),
        *((part, "profile_part", f" and part = {part}") for part in SECTIONS if part not in (CORE, CUSTOM)),
    )
]
_TEXTS: Final = f"""
    select workspace_id, pid, {CORE} as part, doc from profile_core
    union all select workspace_id, pid, {CUSTOM}, doc from profile_custom
    union all select workspace_id, pid, part, doc from profile_part where part in ({", ".join(map(str, SECTIONS))})
    """
_DIFFERENT: Final = text(
    f"""
    select distinct coalesce(s.pid, v.pid) as pid from (select * from ({_TEXTS}) s where workspace_id = :workspace_id) s
    full join (select * from profile_value where workspace_id = :workspace_id) v on v.pid = s.pid and v.part = s.part
    where v.doc is distinct from {_parsed("s.doc")} order by pid limit :most
    """
)


def waiting(connection: Connection, since_us: int) -> list[int]:
    """Workspaces that use segments and are not filled; none on SQLite. A preview that became a job is a use until it is
    older than `since_us`."""
    if connection.dialect.name != "postgresql":
        return []
    return list(connection.execute(_USERS, {"preview": SEGMENT_PREVIEW, "since_us": since_us}).scalars())


def begin(database: Database, workspace_id: int, now_us: int) -> None:
    """Let every batch of the workspace from now on write values as well. Harmless when it does, on SQLite, and while
    earlier values are being removed, which has to come to its end first."""
    if not database.is_postgresql:
        return
    with database.write() as connection:
        lane.create(connection, workspace_id)
        values = {"workspace_id": workspace_id}
        connection.execute(HOLD_LANE, values)
        connection.execute(_BEGIN, {**values, "now_us": now_us})
        if not connection.execute(_LEAVING, values).scalar_one():
            connection.execute(MARK, values)


def fill(database: Database, workspace_id: int, seconds: float) -> bool:
    """Copy what is not copied yet, for about `seconds`; whether that is all. `begin` has to come first.

    Raises what the database raises; nothing is half copied then.
    """
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        try:
            if _copy(database, workspace_id):
                return True
        except OperationalError as error:
            if not is_awaited(error):
                raise
        time.sleep(min(time.monotonic() - began, LONGEST_PAUSE_SECONDS))
    return False


#: SQLSTATE of a lock that was waited for too long.
_NOT_AVAILABLE: Final = "55P03"
#: Between two transactions. A pause is as long as the transaction before it.
LONGEST_PAUSE_SECONDS: Final = 0.1


def give_way(connection: Connection) -> None:
    """Let the transaction give up soon where it has to wait for a batch: see `is_awaited`."""
    connection.exec_driver_sql(f"set local lock_timeout = {_LOCK_MS}")


def is_awaited(error: OperationalError) -> bool:
    """Whether the transaction gave way."""
    return getattr(error.orig, "sqlstate", None) == _NOT_AVAILABLE


def _copy(database: Database, workspace_id: int) -> bool:
    """The next profiles, in the order in which a batch writes them. True behind the last one."""
    values = {"workspace_id": workspace_id}
    with database.write() as connection:
        give_way(connection)
        at = connection.execute(_AT, values).scalar()
        if at is None:  # filled, being removed, or the workspace was deleted
            return True
        pids = list(connection.execute(_HOLD, {**values, "pid": at, "most": CHUNK}).scalars())
        for statement in _COPY if pids else ():
            connection.execute(statement, {**values, "pids": pids})
        # New profiles are written by batches.
        connection.execute(_MOVE, {**values, "pid": pids[-1] if pids else None})
    return not pids


def is_filled(connection: Connection, workspace_id: int) -> bool:
    """Whether all sections of the workspace are there, as they are now."""
    values = {"workspace_id": workspace_id}
    return _is_copied(connection, workspace_id) and connection.execute(_IN_STEP, values).scalar() is not None


def different(connection: Connection, workspace_id: int, most: int) -> list[int]:
    """Profiles whose values are not those of their sections, at most so many; none where not all are copied."""
    if not _is_copied(connection, workspace_id):
        return []
    return list(connection.execute(_DIFFERENT, {"workspace_id": workspace_id, "most": most}).scalars())


def _is_copied(connection: Connection, workspace_id: int) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    return connection.execute(_COPIED, {"workspace_id": workspace_id}).scalar() is not None
