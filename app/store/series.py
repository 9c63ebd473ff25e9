"""Series: sums by day and hour, written in the transaction of their batch.

A series (a kind, a name, an app) has a number, so that its rows are narrow and all of them lie together. A workspace
has at most so many series: of what comes beyond, an app is left out first, and then nothing is kept. Series are never
taken out, so workers remember their numbers, as those of names.

Amounts are added without end, so they are kept in two columns: `high` counts HIGH of them each. Neither can overflow.
Only the holder of a lane adds to the rows of its workspace, in their order; ageing deletes rows that are too old to be
added to.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain import times
from app.domain.changes import Changes
from app.domain.series import DAYS, HOUR_DAYS, NO_HOUR, Bucket, Key
from app.store import chunks, tables
from app.store.bulk import BulkWrite, Row, Rows
from app.store.engine import Database
from app.store.names import NameCache
from app.store.profiles.queries import Query

#: Series of a workspace, unless a setting says otherwise. Those of apps are made while no more than half are taken.
MAX_SERIES: Final = 10_000
HIGH: Final = 10**9
#: Rows stay this much longer than anything is booked: a request may have been accepted a while ago.
SLACK_DAYS: Final = 2

Sums = dict[int, tuple[int, int]]
"""{day or hour: (count, amount)}"""

_INSERT: Final = BulkWrite(tables.Series)
_SUMS: Final = ("count", "high", "low")
_ADD_DAYS: Final = BulkWrite(tables.SeriesDay, ("series_id", "day", *_SUMS), add=_SUMS)
_ADD_HOURS: Final = BulkWrite(tables.SeriesHour, ("series_id", "hour", *_SUMS), add=_SUMS)
_KNOWN: Final = Query(
    "series", "t.kind, t.name, t.app, t.id", "t.kind = {0} and t.name = {1} and t.app = {2}", numbers=(0,)
)
_LAST: Final = text("select coalesce(max(id), 0) from series where workspace_id = :workspace_id")
_OF_NAME: Final = text(
    "select id from series where workspace_id = :workspace_id and kind = :kind and name = :name"
    " and (cast(:app as text) is null or app = :app)"
)
_BETWEEN: Final = "t.series_id = cast({one} as bigint) and t.%s between :first and :last"
_READ_DAYS: Final = Query("series_day", "t.day, t.count, t.high, t.low", _BETWEEN % "day")
_READ_HOURS: Final = Query("series_hour", "t.hour, t.count, t.high, t.low", _BETWEEN % "hour")

_EVERYTHING: Final = """
    select s.kind, s.name, s.app, r.{0}, r.count, r.high, r.low from series s
    join series_{0} r on r.workspace_id = :workspace_id and r.series_id = s.id where s.workspace_id = :workspace_id
"""
_DAY_ROWS, _HOUR_ROWS = text(_EVERYTHING.format("day")), text(_EVERYTHING.format("hour"))
_LISTED: Final = text("select kind, name, app from series where workspace_id = :workspace_id")

_OLD: Final = """
    delete from series_{0} where workspace_id = :workspace_id and (series_id, {0}) in (
        select r.series_id, r.{0} from series s join series_{0} r on r.workspace_id = :workspace_id
        and r.series_id = s.id and r.{0} < :limit where s.workspace_id = :workspace_id limit :chunk
    )
"""
_OLD_DAYS, _OLD_HOURS = text(_OLD.format("day")), text(_OLD.format("hour"))
_WORKSPACES: Final = text(
    "select distinct workspace_id from series where true /*here workspace_id*/ order by workspace_id"
)


def make(connection: Connection, workspace_id: int, changes: Changes, known: NameCache, most: int) -> NameCache:
    """Numbers of the batch's series that are not known yet; new ones are stored, as far as there is room.

    For the few of the workspace as a whole there always is: whoever makes names, a visitor's page perhaps, cannot take
    those away.
    """
    booked = {bucket[:3] for bucket in changes.series}
    wanted = sorted(key for key in booked if (workspace_id, *key) not in known)
    made: NameCache = {}
    if not wanted:
        return made
    missing = _look_up(connection, workspace_id, wanted, made)
    if not missing:
        return made
    taken = int(connection.execute(_LAST, {"workspace_id": workspace_id}).scalar_one())
    folded: set[Key] = set()
    rows: list[dict[str, Any]] = []

    def add(key: Key, most: int) -> bool:
        kind, name, app = key
        if (name or app) and taken + len(rows) >= most:
            return False
        number = made[workspace_id, kind, name, app] = taken + len(rows) + 1
        rows.append({"kind": kind, "name": name, "app": app, "id": number})
        return True

    for kind, name, app in missing:
        if not add((kind, name, app), most // 2 if app else most) and app:
            folded.add((kind, name, ""))
    others = sorted(key for key in folded if (workspace_id, *key) not in known and (workspace_id, *key) not in made)
    if others:
        for key in _look_up(connection, workspace_id, others, made):
            add(key, most)
    _INSERT.run(connection, workspace_id, rows)
    return made


def _look_up(connection: Connection, workspace_id: int, wanted: Sequence[Key], made: NameCache) -> list[Key]:
    """Add the numbers of those that there are to `made`; the others."""
    for _, kind, name, app, number in _KNOWN.run(connection, workspace_id, wanted):
        made[workspace_id, kind, name, app] = number
    return [key for key in wanted if (workspace_id, *key) not in made]


def writes(workspace_id: int, changes: Changes, *numbers: NameCache) -> Iterator[Rows]:
    """Rows that add what was booked, by these numbers of series. What has none is counted as `unlisted`."""
    days: dict[tuple[int, int], list[int]] = {}
    hours: dict[tuple[int, int], list[int]] = {}
    for bucket, (count, amount) in changes.series.items():
        number = _number(workspace_id, bucket, numbers)
        if number is None:
            changes.unlisted_series += count
            continue
        _add(days, (number, bucket[3]), count, amount)
        if bucket[4] != NO_HOUR:
            _add(hours, (number, bucket[4]), count, amount)
    yield _ADD_DAYS, _rows(days)
    yield _ADD_HOURS, _rows(hours)


def _number(workspace_id: int, bucket: Bucket, numbers: Iterable[NameCache]) -> int | None:
    kind, name, app = bucket[:3]
    for key in ((kind, name, app), (kind, name, "")):
        for known in numbers:
            if (found := known.get((workspace_id, *key))) is not None:
                return found
    return None


def _add(sums: dict[tuple[int, int], list[int]], place: tuple[int, int], count: int, amount: int) -> None:
    found = sums.get(place)
    if found is None:
        sums[place] = [count, amount]
    else:
        found[0] += count
        found[1] += amount


def _rows(sums: dict[tuple[int, int], list[int]]) -> list[Row]:
    """In the order of their keys, so that nobody who writes the same rows waits in a circle."""
    return [
        (number, at, count, amount // HIGH, amount % HIGH) for (number, at), (count, amount) in sorted(sums.items())
    ]


def days(
    connection: Connection, workspace_id: int, kind: int, name: str, app: str | None, first: int, last: int
) -> Sums:
    """Sums by day, from one day to another, of all apps or one; days without any are left out."""
    return _read(connection, workspace_id, _READ_DAYS, (kind, name, app), first, last)


def hours(
    connection: Connection, workspace_id: int, kind: int, name: str, app: str | None, first: int, last: int
) -> Sums:
    """The same by hour."""
    return _read(connection, workspace_id, _READ_HOURS, (kind, name, app), first, last)


def _read(
    connection: Connection, workspace_id: int, query: Query, of: tuple[int, str, str | None], first: int, last: int
) -> Sums:
    kind, name, app = of
    if "\0" in name or "\0" in (app or ""):
        return {}  # nothing can have such a name
    values = {"workspace_id": workspace_id, "kind": kind, "name": name, "app": app}
    # As texts, since that is what a key of one member is.
    numbers = [str(number) for number in connection.execute(_OF_NAME, values).scalars()]
    sums: Sums = {}
    for _, at, count, high, low in query.run(connection, workspace_id, numbers, first=first, last=last):
        before = sums.get(at, (0, 0))
        sums[at] = (before[0] + count, before[1] + high * HIGH + low)
    return sums


def everything(connection: Connection, workspace_id: int) -> dict[tuple[Key, str, int], tuple[int, int]]:
    """{(series, "day" or "hour", which one): (count, amount)}. Not for large workspaces."""
    return {
        ((kind, name, app), unit, at): (count, high * HIGH + low)
        for unit, statement in (("day", _DAY_ROWS), ("hour", _HOUR_ROWS))
        for kind, name, app, at, count, high, low in connection.execute(statement, {"workspace_id": workspace_id})
    }


def listed(connection: Connection, workspace_id: int) -> set[Key]:
    """All series of a workspace."""
    return {(kind, name, app) for kind, name, app in connection.execute(_LISTED, {"workspace_id": workspace_id})}


def oldest(now_us: int) -> tuple[int, int]:
    """The first day and the first hour that are kept."""
    return (
        now_us // times.DAY - DAYS - SLACK_DAYS,
        (now_us - (HOUR_DAYS + SLACK_DAYS) * times.DAY) // times.MINUTE,
    )


def expire(database: Database, now_us: int) -> int:
    """Delete days and hours that are over; how many there were. A workspace at a time, in short transactions."""
    day, hour = oldest(now_us)
    with database.read() as connection:
        workspaces = list(connection.execute(_WORKSPACES).scalars())
    deleted = 0
    for workspace_id in workspaces:
        for statement, limit in ((_OLD_DAYS, day), (_OLD_HOURS, hour)):
            values = {"workspace_id": workspace_id, "limit": limit, "chunk": chunks.CHUNK}

            def part(statement: Any = statement, values: dict[str, int] = values) -> int:
                with database.write() as connection:
                    return connection.execute(statement, values).rowcount

            deleted += chunks.repeat(part)
    return deleted
