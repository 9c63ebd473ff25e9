"""Reading a whole workspace in one transaction: numbers of all profiles, and what is kept one by one."""

from collections.abc import Iterator
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.profile import Occurrence

_PAGE: Final = text(
    "select pid from profile where workspace_id = :workspace_id and pid > :after order by pid limit :most"
)
_COUNT: Final = text("select count(*) from profile where workspace_id = :workspace_id")
#: A merged profile's occurrences keep its number; `lineage` says whose they are now. What is of nobody is left out.
_OF_KIND: Final = """
    from occurrence o
    join name n on n.workspace_id = :workspace_id and n.id = o.name_id and n.kind = :kind
    left join lineage l on l.workspace_id = :workspace_id and l.member_pid = o.pid
    join profile p on p.workspace_id = :workspace_id and p.pid = coalesce(l.root_pid, o.pid)
    where o.workspace_id = :workspace_id and o.day = :day
    """
_OCCURRENCES: Final = text(
    "select p.external_id, p.braze_id, o.stream, o.seq, o.ordinal, p.pid, n.name, o.time_us, o.app_id, o.properties,"
    " o.quantity, o.cents"
    f" {_OF_KIND} order by o.stream, o.seq, o.ordinal"
)
_DAYS: Final = text(
    "select coalesce(min(day), 0) as first, coalesce(max(day), -1) as last from occurrence"
    " where workspace_id = :workspace_id"
)


Owned = tuple[str | None, str, Occurrence]
"""(external id, braze_id, what occurred) of whoever it belongs to now."""


def count(connection: Connection, workspace_id: int) -> int:
    """How many profiles there are."""
    return int(connection.execute(_COUNT, {"workspace_id": workspace_id}).scalar_one())


def page(connection: Connection, workspace_id: int, after: int, most: int) -> list[int]:
    """The next profiles by number behind `after`, which is below 0 for the first of them."""
    values = {"workspace_id": workspace_id, "after": after, "most": most}
    return list(connection.execute(_PAGE, values).scalars())


def occurrences(connection: Connection, workspace_id: int, kind: int) -> Iterator[Owned]:
    """What is kept of a kind (NAME_… of app.domain.profile), by day, and within a day in the order in which it was
    accepted. A few rows are in memory at a time."""
    one = {"workspace_id": workspace_id}
    first, last = connection.execute(_DAYS, one).one()
    for day in range(first, last + 1):
        values = {**one, "day": day, "kind": kind}
        for row in connection.execute(_OCCURRENCES, values, execution_options={"yield_per": 1_000}):
            # SQLite gives the document as text, psycopg gives it parsed.
            told = msgspec.json.decode(row.properties) if isinstance(row.properties, str) else row.properties
            occurrence = Occurrence(
                row.stream,
                row.seq,
                row.ordinal,
                row.pid,
                kind,
                row.name,
                row.time_us,
                row.app_id,
                told,
                row.quantity,
                row.cents,
            )
            yield row.external_id, row.braze_id, occurrence
