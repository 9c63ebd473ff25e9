"""The events and purchases of one person, the last ones first, a page at a time.

Occurrences are in an index by name, day and profile. So we look, day by day, for those names that the profile has
summaries of, among it and all that were merged into it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.profile import NAME_EVENT, NAME_PRODUCT, Profile
from app.domain.times import DAY
from app.store.bulk import encode
from app.store.interruption import check
from app.store.partitions import OCCURRENCE_DAYS

#: Names that are looked for at once.
_NAMES: Final = 500

_FAMILY = text("select member_pid from lineage where workspace_id = :workspace_id and root_pid = :pid")
_COLUMNS: Final = "o.stream, o.seq, o.ordinal, o.time_us, o.app_id, o.properties, o.quantity, o.cents"
_OF_DAY: Final = """
    select n.kind, n.name, {columns}
    from {names}
    where {behind} order by o.time_us desc, o.stream desc, o.seq desc, o.ordinal desc limit :limit
    """
_BEHIND: Final = "(o.time_us, o.stream, o.seq, o.ordinal) < (:time_us, :stream, :seq, :ordinal)"
#: As in app.store.profiles.queries: PostgreSQL is to use the index, whatever it thinks of the sizes of tables.
_OF_DAY_POSTGRESQL = text(
    _OF_DAY.format(
        columns=_COLUMNS,
        behind=_BEHIND,
        names="jsonb_array_elements(cast(:names as jsonb)) k"
        " cross join lateral (select t.id, t.kind, t.name from name t where t.workspace_id = :workspace_id"
        " and t.kind = cast(k.value ->> 0 as smallint) and t.name = k.value ->> 1 offset 0) n"
        " cross join lateral (select * from occurrence t where t.workspace_id = :workspace_id and t.name_id = n.id"
        " and t.day = :day and t.pid = any(array(select cast(value as bigint) from"
        " jsonb_array_elements_text(cast(:pids as jsonb)))) offset 0) o",
    )
)
_OF_DAY_SQLITE = text(
    _OF_DAY.format(
        columns=_COLUMNS,
        behind=_BEHIND,
        names="json_each(:names) k"
        " cross join name n on n.workspace_id = :workspace_id and n.kind = k.value ->> 0 and n.name = k.value ->> 1"
        " cross join occurrence o on o.workspace_id = :workspace_id and o.name_id = n.id and o.day = :day"
        " and o.pid in (select value from json_each(:pids))",
    )
)

Place = tuple[int, int, int, int]
"""(time_us, stream, seq, ordinal) of an occurrence: unique, and the order of the timeline."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event, or one purchase object of `quantity` items for `cents` in all."""

    kind: int
    name: str
    stream: int
    seq: int
    ordinal: int
    time_us: int
    app_id: str | None
    properties: dict[str, Any] | None
    quantity: int
    cents: int

    @property
    def place(self) -> Place:
        return (self.time_us, self.stream, self.seq, self.ordinal)


def page(
    connection: Connection, workspace_id: int, profile: Profile, now_us: int, behind: Place | None, limit: int
) -> list[Happened]:
    """At most `limit` events and purchases of a profile, the last ones first. Needs its summaries.

    `behind` is the place of the last one of the page before.
    """
    pids = [profile.pid, *connection.execute(_FAMILY, {"workspace_id": workspace_id, "pid": profile.pid}).scalars()]
    # Events of the future get the day of their acceptance. A wrong clock may have made later days.
    last = now_us // DAY + 2
    first = now_us // DAY - OCCURRENCE_DAYS - 1
    behind = behind or ((last + 1) * DAY, 0, 0, 0)
    found: list[Happened] = []
    for day in range(min(last, behind[0] // DAY), first - 1, -1):
        of_day: list[Happened] = []
        for names in _names(profile, day):
            check()
            of_day += _of_day(connection, workspace_id, pids, names, day, behind, limit - len(found))
        of_day.sort(key=lambda one: one.place, reverse=True)
        found += of_day[: limit - len(found)]
        if len(found) == limit:
            break
    return found


def _names(profile: Profile, day: int) -> Iterator[Sequence[tuple[int, str]]]:
    """The names that the profile may have occurrences of on a day, some at a time."""
    names = [
        (kind, name)
        for kind, summaries in ((NAME_EVENT, profile.events or {}), (NAME_PRODUCT, profile.purchases or {}))
        for name, (_, first, last) in summaries.items()
        if first // DAY <= day <= last // DAY
    ]
    for n in range(0, len(names), _NAMES):
        yield names[n : n + _NAMES]


def _of_day(
    connection: Connection,
    workspace_id: int,
    pids: list[int],
    names: Sequence[tuple[int, str]],
    day: int,
    behind: Place,
    limit: int,
) -> list[Happened]:
    statement = _OF_DAY_POSTGRESQL if connection.dialect.name == "postgresql" else _OF_DAY_SQLITE
    values = {"workspace_id": workspace_id, "pids": encode(pids), "names": encode(names), "day": day, "limit": limit}
    values |= dict(zip(("time_us", "stream", "seq", "ordinal"), behind, strict=True))
    return [_happened(row) for row in connection.execute(statement, values)]


def _happened(row: Any) -> Happened:
    """SQLite gives the document as text, psycopg gives it parsed."""
    happened = Happened(*row)
    if isinstance(row.properties, str):
        return replace(happened, properties=msgspec.json.decode(row.properties))
    return happened
