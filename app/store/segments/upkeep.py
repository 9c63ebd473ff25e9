"""Values for segments go where a workspace no longer uses segments, and are made anew where they fell behind.

A workspace uses segments while it has one, and when a preview is asked for; `note_uses` and `touch` write down when
that was last. `end` lets batches write no more values, so applying is as quick again as for anybody else, and `remove`
takes the rows away, some at a time. Segments read the text from `end` on. Where the workspace uses segments meanwhile,
its values are begun anew once the last row is gone.
"""

import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.domain.jobs import SEGMENT_PREVIEW
from app.domain.times import DAY, HOUR
from app.store.engine import Database
from app.store.segments import values

#: Rows that one transaction removes.
CHUNK: Final = 3_000
_TURN_SECONDS: Final = 10.0
#: `used_us` is as exact as this: what is used all the time is not written down all the time.
_NOTED_US: Final = HOUR
_TOUCHED_US: Final = DAY

_NOTE_SEGMENTS: Final = text(
    "update value_filling f set used_us = :now_us where used_us < :before_us"
    " and exists (select 1 from segment s where s.workspace_id = f.workspace_id /*here s.workspace_id*/)"
    " /*here f.workspace_id*/"
)
_NOTE_PREVIEWS: Final = text(
    """
    update value_filling f set used_us = j.created_us
    from (select workspace_id, max(created_us) as created_us from job where kind = :preview /*here workspace_id*/
          group by workspace_id) j
    where j.workspace_id = f.workspace_id and j.created_us > f.used_us /*here f.workspace_id*/
    """
)
_TOUCH: Final = text(
    "update value_filling set used_us = :now_us where workspace_id = :workspace_id and used_us < :before_us"
)
_USED: Final = text("select used_us from value_filling where workspace_id = :workspace_id")
_UNUSED: Final = text(
    """
    select workspace_id from value_filling f where used_us < :since_us and not leaving
    and not exists (select 1 from segment s where s.workspace_id = f.workspace_id /*here s.workspace_id*/)
    /*here f.workspace_id*/ order by workspace_id
    """
)
_BEHIND: Final = text(
    """
    select workspace_id from lane join value_filling using (workspace_id)
    where with_values and not leaving and values_at is distinct from cursor_normal + cursor_bulk
    /*here lane.workspace_id*/ /*here value_filling.workspace_id*/ order by workspace_id
    """
)
_LEAVING: Final = text(
    "select workspace_id from value_filling where leaving /*here workspace_id*/ order by workspace_id"
)
_LEAVE: Final = text(
    "update value_filling set leaving = true, pid = -1, behind_us = coalesce(:behind_us, behind_us)"
    " where workspace_id = :workspace_id and not leaving"
)
_UNMARK: Final = text("update lane set with_values = false where workspace_id = :workspace_id")
_AT: Final = text("select pid from value_filling where workspace_id = :workspace_id and leaving for update")
_NEXT: Final = text(
    "select max(pid) from (select pid from profile_value where workspace_id = :workspace_id and pid > :after"
    " order by pid limit :most) p"
)
_REMOVE: Final = text("delete from profile_value where workspace_id = :workspace_id and pid > :after and pid <= :to")
_MOVE: Final = text("update value_filling set pid = :to where workspace_id = :workspace_id")
_GONE: Final = text("update lane set values_at = null where workspace_id = :workspace_id")
_AGAIN: Final = text(
    "update value_filling set leaving = false, pid = -1 where workspace_id = :workspace_id and used_us >= :since_us"
)
_FORGET: Final = text("delete from value_filling where workspace_id = :workspace_id")
_PROFILES: Final = text("select count(*) from profile where workspace_id = :workspace_id")
_STATES: Final = text(
    """
    select f.workspace_id, f.pid is null and not f.leaving as filled, f.leaving, f.behind_us,
        l.with_values and l.values_at is distinct from l.cursor_normal + l.cursor_bulk as behind
    from value_filling f join lane l using (workspace_id)
    where true /*here f.workspace_id*/ /*here l.workspace_id*/ order by f.workspace_id
    """
)


@dataclass(frozen=True, slots=True)
class Copy:
    """What a workspace's segments are counted from."""

    workspace_id: int
    #: Whether all values are there.
    filled: bool
    #: Whether they are being removed.
    leaving: bool
    #: Whether a batch was applied that wrote none; nobody has noticed yet.
    behind: bool
    #: When that was noticed last, in microseconds since 1970.
    behind_us: int | None


def note_uses(database: Database, now_us: int) -> None:
    """Write down which workspaces have a segment, and when each asked for a preview that became a job."""
    with database.write() as connection:
        connection.execute(_NOTE_SEGMENTS, {"now_us": now_us, "before_us": now_us - _NOTED_US})
        connection.execute(_NOTE_PREVIEWS, {"preview": SEGMENT_PREVIEW})


def touch(database: Database, workspace_id: int, now_us: int) -> None:
    """Write down that somebody asked for a preview; once a day is enough, so it is hardly ever more than a look."""
    if not database.is_postgresql:
        return
    with database.read() as connection:
        used_us = connection.execute(_USED, {"workspace_id": workspace_id}).scalar()
    if used_us is None or used_us >= now_us - _TOUCHED_US:
        return
    with database.write() as connection:
        before_us = now_us - _TOUCHED_US
        connection.execute(_TOUCH, {"workspace_id": workspace_id, "now_us": now_us, "before_us": before_us})


def unused(connection: Connection, since_us: int) -> list[int]:
    """Workspaces with values that have no segment, and did not ask for a preview since."""
    return list(connection.execute(_UNUSED, {"since_us": since_us}).scalars())


def behind(connection: Connection) -> list[int]:
    """Workspaces of which a batch was applied that wrote no values."""
    return list(connection.execute(_BEHIND).scalars())


def leaving(connection: Connection) -> list[int]:
    """Workspaces whose values are being removed."""
    return list(connection.execute(_LEAVING).scalars())


def states(connection: Connection) -> list[Copy]:
    """All workspaces with values; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    return [
        Copy(row.workspace_id, row.filled, row.leaving, bool(row.behind), row.behind_us)
        for row in connection.execute(_STATES)
    ]


def end(database: Database, workspace_id: int, behind_us: int | None = None) -> None:
    """Let batches write no more values, and segments read the text. `behind_us`: they fell behind, which was noticed
    then. Harmless where that was done."""
    with database.write() as connection:
        connection.execute(values.HOLD_LANE, {"workspace_id": workspace_id})
        left = connection.execute(_LEAVE, {"workspace_id": workspace_id, "behind_us": behind_us})
        if left.rowcount:
            connection.execute(_UNMARK, {"workspace_id": workspace_id})


def remove(database: Database, workspace_id: int, since_us: int, seconds: float) -> bool:
    """Remove what `end` left, for about `seconds`; whether that is all. Values are begun anew then, if segments were
    used since. Raises what the database raises."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        began = time.monotonic()
        try:
            if not _remove(database, workspace_id):
                _conclude(database, workspace_id, since_us)
                return True
        except OperationalError as error:
            if not values.is_awaited(error):
                raise
        time.sleep(min(time.monotonic() - began, values.LONGEST_PAUSE_SECONDS))
    return False


def _remove(database: Database, workspace_id: int) -> bool:
    """The next profiles. False behind the last one."""
    parameters = {"workspace_id": workspace_id}
    with database.write() as connection:
        values.give_way(connection)
        after = connection.execute(_AT, parameters).scalar()
        if after is None:
            return False
        to = connection.execute(_NEXT, {**parameters, "after": after, "most": CHUNK}).scalar()
        if to is not None:
            connection.execute(_REMOVE, {**parameters, "after": after, "to": to})
            connection.execute(_MOVE, {**parameters, "to": to})
        return to is not None


def _conclude(database: Database, workspace_id: int, since_us: int) -> None:
    parameters = {"workspace_id": workspace_id}
    with database.write() as connection:
        connection.execute(values.HOLD_LANE, parameters)
        if connection.execute(_AT, parameters).scalar() is None:  # somebody else was quicker
            return
        connection.execute(_GONE, parameters)
        if connection.execute(_AGAIN, {**parameters, "since_us": since_us}).rowcount:
            connection.execute(values.MARK, parameters)
        else:
            connection.execute(_FORGET, parameters)


def rebuild(database: Database, workspace_id: int, now_us: int) -> int:
    """Make all values of a workspace anew, where it has some; of how many profiles. Segments read texts meanwhile."""
    if not database.is_postgresql:
        return 0
    parameters = {"workspace_id": workspace_id}
    with database.read() as connection:
        if connection.execute(_USED, parameters).scalar() is None:
            return 0
    end(database, workspace_id)
    while not remove(database, workspace_id, now_us, _TURN_SECONDS):
        pass
    values.begin(database, workspace_id, now_us)
    while not values.fill(database, workspace_id, _TURN_SECONDS):
        pass
    with database.read() as connection:
        return int(connection.execute(_PROFILES, parameters).scalar_one())
