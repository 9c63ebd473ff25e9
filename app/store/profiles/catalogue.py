"""Numbers of names and series: rows have a number in place of the name, and the catalogue says which."""

from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.changes import Changes
from app.domain.profile import OWN_NAMES
from app.store import series, tables
from app.store.bulk import BulkWrite
from app.store.names import NameCache
from app.store.profiles.queries import Query

_INSERT_NAMES = BulkWrite(tables.Name)
_NAMES = Query("name", "t.kind, t.name, t.id", "t.kind = {0} and t.name = {1}", numbers=(0,))
_LAST_NAME = text("select coalesce(max(id), 0) from name where workspace_id = :workspace_id")

#: A cache is cleared when it gets larger.
_MAX_CACHED_NAMES: Final = 100_000
#: Names of attributes, events and products together that a workspace's catalogue has. What is written under further
#: ones is in the profiles as any other; it is neither listed nor counted, and its occurrences are not kept one by one.
#: Unless set otherwise.
MAX_NAMES: Final = 100_000


def has_names(workspace_id: int, changes: Changes, names: NameCache) -> bool:
    """Whether the numbers of all names and series of the batch are known already."""
    return all((workspace_id, kind, name) in names for kind, name, _ in changes.written) and all(
        (workspace_id, *bucket[:3]) in names for bucket in changes.series
    )


def make_names(
    connection: Connection, workspace_id: int, changes: Changes, names: NameCache, most_names: int, most_series: int
) -> NameCache:
    """Numbers of the names and series of the batch that are not known yet; new ones are stored."""
    made = _make_names(connection, workspace_id, changes, names, most_names)
    return made | series.make(connection, workspace_id, changes, names, most_series)


def _make_names(connection: Connection, workspace_id: int, changes: Changes, cache: NameCache, most: int) -> NameCache:
    """Ids of the batch's names that the cache does not have; new ones are stored, as long as there are at most `most`.

    Names are never taken out, so the last id says how many there are. New ones come in the order in which they were
    first written: so the log alone decides which get the last places, however its requests are batched. Onefold's own
    names always have one.
    """
    written = dict.fromkeys((kind, name) for kind, name, _ in changes.written)
    wanted = [name for name in written if (workspace_id, *name) not in cache]
    made: NameCache = {}
    if wanted:
        for _, kind, name, number in _NAMES.run(connection, workspace_id, wanted):
            made[workspace_id, kind, name] = number
        missing = [name for name in wanted if (workspace_id, *name) not in made]
        if missing:
            last = connection.execute(_LAST_NAME, {"workspace_id": workspace_id}).scalar_one()
            rows: list[dict[str, Any]] = []
            for kind, name in missing:
                if kind in OWN_NAMES or last + len(rows) < most:
                    rows.append({"kind": kind, "name": name, "id": last + len(rows) + 1})
            _INSERT_NAMES.run(connection, workspace_id, rows)
            made |= {(workspace_id, row["kind"], row["name"]): row["id"] for row in rows}
    return made


def number_of(workspace_id: int, kind: int, name: str, made: NameCache, cache: NameCache) -> int | None:
    """The number of a name. None: the catalogue is full, and the name is not in it."""
    key = (workspace_id, kind, name)
    return made.get(key) or cache.get(key)


def remember(cache: NameCache, made: NameCache) -> None:
    """Keep committed names for the next batches."""
    if len(cache) > _MAX_CACHED_NAMES:
        cache.clear()
    cache.update(made)
