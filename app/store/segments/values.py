"""Sections once more as jsonb, in `profile_value`, so that PostgreSQL counts segments without parsing any text.

The sections themselves stay text and are what is true. Only workspaces that use segments have these rows:

* `begin` marks the workspace in its lane, under the lane's lock. Every batch from then on writes both.
* `fill` copies what was there before, some profiles at a time, and goes on where it was when it is called again.
* Once all are copied, `is_filled` says so, and segments read `profile_value`; until then they read the text.

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


_MARK: Final = text("update lane set with_values = true where workspace_id = :workspace_id and not with_values")
_BEGIN: Final = text("insert into value_filling (workspace_id, pid) values (:workspace_id, -1) on conflict do nothing")
_FILLED: Final = text("select 1 from value_filling where workspace_id = :workspace_id and pid is null")
#: One process at a time.
_AT: Final = text("select pid from value_filling where workspace_id = :workspace_id for update")
_MOVE: Final = text("update value_filling set pid = :pid where workspace_id = :workspace_id")
_USERS: Final = text(
    """
    select workspace_id from segment
    union select workspace_id from job where kind = :preview
    union select workspace_id from value_filling
    except select workspace_id from value_filling where pid is null
    except select workspace_id from workspace_deletion
    order by workspace_id
    """
)
_HOLD: Final = text(
    "select pid from profile where workspace_id = :workspace_id and pid > :pid order by pid limit :most for key share"
)
_HOLD_LANE: Final = text("select 1 from lane where workspace_id = :workspace_id for update")
_REMOVE: Final = text("delete from profile_value where workspace_id = :workspace_id and pid > :after and pid <= :to")
_TOP: Final = 2**63 - 1
_COPY: Final = [
    text(
        f"{_INTO} select workspace_id, pid, {part}, {_parsed('doc')} from {table} where workspace_id = :workspace_id"
        f" and pid = any(:pids){condition} order by pid on conflict do nothing"
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


def waiting(connection: Connection) -> list[int]:
    """Workspaces that use segments and are not filled; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    return list(connection.execute(_USERS, {"preview": SEGMENT_PREVIEW}).scalars())


def begin(database: Database, workspace_id: int) -> None:
    """Let every batch of the workspace from now on write values as well. Harmless when it does, and on SQLite."""
    if not database.is_postgresql:
        return
    with database.write() as connection:
        lane.create(connection, workspace_id)
        connection.execute(_MARK, {"workspace_id": workspace_id})
        connection.execute(_BEGIN, {"workspace_id": workspace_id})


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
            if getattr(error.orig, "sqlstate", None) != _NOT_AVAILABLE:
                raise
        time.sleep(min(time.monotonic() - began, _LONGEST_PAUSE_SECONDS))
    return False


#: SQLSTATE of a lock that was waited for too long.
_NOT_AVAILABLE: Final = "55P03"
_LONGEST_PAUSE_SECONDS: Final = 0.1


def _copy(database: Database, workspace_id: int) -> bool:
    """The next profiles, in the order in which a batch writes them. True behind the last one."""
    values = {"workspace_id": workspace_id}
    with database.write() as connection:
        connection.exec_driver_sql(f"set local lock_timeout = {_LOCK_MS}")
        at = connection.execute(_AT, values).scalar()
        if at is None:  # filled, or the workspace was deleted
            return True
        pids = list(connection.execute(_HOLD, {**values, "pid": at, "most": CHUNK}).scalars())
        for statement in _COPY if pids else ():
            connection.execute(statement, {**values, "pids": pids})
        # New profiles are written by batches.
        connection.execute(_MOVE, {**values, "pid": pids[-1] if pids else None})
    return not pids


def rebuild(database: Database, workspace_id: int) -> int:
    """Make all values of a workspace anew, where it has some; of how many profiles.

    The lane is held for each step, since another writer knew nothing of values. A batch is applied between two of them.
    """
    if not database.is_postgresql:
        return 0
    values = {"workspace_id": workspace_id}
    after, done = -1, 0
    while True:
        with database.write() as connection:
            connection.execute(_HOLD_LANE, values)
            if connection.execute(_AT, values).one_or_none() is None:
                return 0
            pids = list(connection.execute(_HOLD, {**values, "pid": after, "most": CHUNK}).scalars())
            # Behind the last profile there may still be values of somebody who is gone.
            connection.execute(_REMOVE, {**values, "after": after, "to": pids[-1] if pids else _TOP})
            for statement in _COPY if pids else ():
                connection.execute(statement, {**values, "pids": pids})
            connection.execute(_MARK, values)
        if not pids:
            return done
        after, done = pids[-1], done + len(pids)


def is_filled(connection: Connection, workspace_id: int) -> bool:
    """Whether all sections of the workspace are there."""
    if connection.dialect.name != "postgresql":
        return False
    return connection.execute(_FILLED, {"workspace_id": workspace_id}).scalar() is not None


def different(connection: Connection, workspace_id: int, most: int) -> list[int]:
    """Profiles whose values are not those of their sections, at most so many; none where they are not filled."""
    if not is_filled(connection, workspace_id):
        return []
    return list(connection.execute(_DIFFERENT, {"workspace_id": workspace_id, "most": most}).scalars())
