"""How often keys called endpoints, by minute and status: counted by API processes, added up here, dropped when old."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from app.store import tables
from app.store.bulk import BulkWrite
from app.store.chunks import CHUNK, repeat
from app.store.engine import Database
from app.store.workspace_deletions import begun

#: Stands for the workspace where no live key was sent.
NO_WORKSPACE: Final = 0


class Place(NamedTuple):
    """What is counted together. As in the table."""

    workspace_id: int
    minute: int
    key_id: str
    endpoint: str
    status: int


@dataclass(frozen=True, slots=True)
class Sum:
    """Answers of one key, endpoint and status."""

    key_id: str
    endpoint: str
    status: int
    count: int


_ADD: Final = BulkWrite(tables.ApiUsage, add=("count",))
_WHERE: Final = """
    workspace_id = :workspace_id and minute between :first and :last
    and (cast(:key_id as text) is null or key_id = :key_id)
    and (cast(:endpoint as text) is null or endpoint = :endpoint)
"""
_SUMS: Final = text(
    f"""
    select key_id, endpoint, status, cast(sum(count) as bigint) as count from api_usage where {_WHERE}
    group by key_id, endpoint, status order by count desc, key_id, endpoint, status limit :limit
    """
)
_MINUTES: Final = text(
    f"""
    select minute, status, cast(sum(count) as bigint) as number from api_usage where {_WHERE}
    group by minute, status order by minute, status
    """
)
_OF_ALL: Final = text(
    """
    select '' as key_id, endpoint, status, cast(sum(count) as bigint) as count from api_usage
    where minute between :first and :last /*here workspace_id*/ group by endpoint, status
    """
)
_KEYS: Final = "workspace_id, minute, key_id, endpoint, status"
_OLD: Final = text(
    f"delete from api_usage where ({_KEYS}) in (select {_KEYS} from api_usage"
    f" where minute < :before /*here workspace_id*/ order by minute limit {CHUNK}) /*here workspace_id*/"
)
_CROWDED: Final = text(
    "select workspace_id from api_usage where true /*here workspace_id*/ group by workspace_id having count(*) > :most"
)
_BEYOND: Final = text(
    "select minute from api_usage where workspace_id = :workspace_id order by minute desc limit 1 offset :most"
)
_OLD_OF_ONE: Final = text(
    f"delete from api_usage where workspace_id = :workspace_id and ({_KEYS}) in (select {_KEYS} from api_usage"
    f" where workspace_id = :workspace_id and minute <= :last order by minute limit {CHUNK})"
)


def add(database: Database, counts: Mapping[Place, int]) -> None:
    """Add counts to what is stored, in one transaction. Rows are written in the order of their keys, so that nobody who
    writes the same rows waits in a circle. Those of workspaces that are being deleted are left out."""
    with database.write() as connection:
        deleted = begun(connection, [place.workspace_id for place in counts])
        for workspace_id, group in groupby(sorted(counts.items()), key=lambda item: item[0].workspace_id):
            if workspace_id in deleted:
                continue
            rows: list[dict[str, Any]] = [
                {
                    "minute": place.minute,
                    "key_id": place.key_id,
                    "endpoint": place.endpoint,
                    "status": place.status,
                    "count": count,
                }
                for place, count in group
            ]
            _ADD.run(connection, workspace_id, rows)


def sums(
    connection: Connection,
    workspace_id: int,
    first: int,
    last: int,
    *,
    key_id: str | None = None,
    endpoint: str | None = None,
    limit: int = 10_000,
) -> list[Sum]:
    """Sums from one minute to another, both included, the largest first; of one key and endpoint, or of all."""
    values = _values(workspace_id, first, last, key_id, endpoint)
    return [Sum(*row) for row in connection.execute(_SUMS, {**values, "limit": limit})]


def minutes(
    connection: Connection,
    workspace_id: int,
    first: int,
    last: int,
    *,
    key_id: str | None = None,
    endpoint: str | None = None,
) -> list[tuple[int, int, int]]:
    """(minute, status, count) in the order of time; minutes without any are left out."""
    values = _values(workspace_id, first, last, key_id, endpoint)
    return [(row.minute, row.status, row.number) for row in connection.execute(_MINUTES, values)]


def sums_of_all(connection: Connection, first: int, last: int) -> list[Sum]:
    """Sums over all workspaces, and over what came without a key; the `key_id` is left out."""
    return [Sum(*row) for row in connection.execute(_OF_ALL, {"first": first, "last": last})]


def _values(workspace_id: int, first: int, last: int, key_id: str | None, endpoint: str | None) -> dict[str, Any]:
    return {"workspace_id": workspace_id, "first": first, "last": last, "key_id": key_id, "endpoint": endpoint}


def expire(database: Database, before: int, most: int) -> int:
    """Drop rows of before a minute, and of each workspace the oldest beyond `most`; how many."""

    def old() -> int:
        with database.write() as connection:
            return connection.execute(_OLD, {"before": before}).rowcount

    dropped = repeat(old)
    with database.read() as connection:
        crowded: Sequence[int] = list(connection.execute(_CROWDED, {"most": most}).scalars())
    return dropped + sum(_trim(database, most, crowded))


def _trim(database: Database, most: int, crowded: Iterable[int]) -> Iterable[int]:
    for workspace_id in crowded:
        with database.read() as connection:
            last = connection.execute(_BEYOND, {"workspace_id": workspace_id, "most": most}).scalar()

        def part(workspace_id: int = workspace_id, last: int | None = last) -> int:
            if last is None:
                return 0
            with database.write() as connection:
                return connection.execute(_OLD_OF_ONE, {"workspace_id": workspace_id, "last": last}).rowcount

        yield repeat(part)
