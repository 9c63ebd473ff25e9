"""Those of the holders of an e-mail address or a phone number that were written to last, a page at a time.

The database looks at the row of every holder, since the time of the last write is in no index, and gives back a page.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, text

from app.domain.profile import Identifier
from app.store.bulk import EACH_POSTGRESQL, EACH_SQLITE, encode

_ORDER: Final = ("updated_us", "updated_index", "created_us", "braze_id")
_NEWEST: Final = """
    select {columns} from identifier i {join}
    where i.workspace_id = :workspace_id and i.kind = :kind and i.label = :label and i.value = :value {behind}
    order by {order} limit :limit
    """
#: As in app.store.profiles.queries: PostgreSQL must not make a hash join over the workspace of it.
_JOIN_POSTGRESQL: Final = (
    f"cross join lateral (select t.pid, {', '.join('t.' + name for name in _ORDER)} from profile t"
    " where t.workspace_id = :workspace_id and t.pid = i.pid offset 0) p"
)
_JOIN_SQLITE: Final = "cross join profile p on p.workspace_id = :workspace_id and p.pid = i.pid"
_BEHIND: Final = (
    f"and (p.updated_us, p.updated_index, p.created_us, p.braze_id) < ({', '.join(':' + n for n in _ORDER)})"
)


def _statement(join: str, behind: str) -> str:
    columns = ", ".join(f"p.{name}" for name in ("pid", *_ORDER))
    order = ", ".join(f"p.{name} desc" for name in _ORDER)
    return _NEWEST.format(columns=columns, join=join, behind=behind, order=order)


#: {(PostgreSQL?, behind a place?): statement}
_STATEMENTS: Final = {
    (is_postgresql, later): text(
        _statement(_JOIN_POSTGRESQL if is_postgresql else _JOIN_SQLITE, _BEHIND if later else "")
    )
    for is_postgresql in (True, False)
    for later in (True, False)
}
_SIZES: Final = """
    select cast(each.value as bigint) as pid
        , coalesce((select {size} from profile_core s where s.workspace_id = :workspace_id and s.pid = {pid}), 0)
        + coalesce((select {size} from profile_custom s where s.workspace_id = :workspace_id and s.pid = {pid}), 0)
        + coalesce((select sum({size}) from profile_part s where s.workspace_id = :workspace_id and s.pid = {pid}), 0)
    from {each}
    """
_PID: Final = "cast(each.value as bigint)"
#: PostgreSQL knows the length of a text without reading it.
_SIZES_POSTGRESQL: Final = text(_SIZES.format(size="octet_length(s.doc)", pid=_PID, each=EACH_POSTGRESQL))
_SIZES_SQLITE: Final = text(_SIZES.format(size="length(cast(s.doc as blob))", pid=_PID, each=EACH_SQLITE))

Place = tuple[int, int, int, str]
"""Profile.recency of one of them."""


def newest(
    connection: Connection, workspace_id: int, key: Identifier, behind: Sequence[int | str] | None, limit: int
) -> list[tuple[int, Place]]:
    """(pid, place) of at most `limit` holders of an address, the most recently updated ones first.

    `behind` is the place of the last one of the page before.
    """
    kind, label, value = key
    statement = _STATEMENTS[connection.dialect.name == "postgresql", behind is not None]
    values = {"workspace_id": workspace_id, "kind": kind, "label": label, "value": value, "limit": limit}
    values |= dict(zip(_ORDER, behind or (), strict=False))
    return [(row[0], (row[1], row[2], row[3], row[4])) for row in connection.execute(statement, values)]


def sizes(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, int]:
    """Bytes that the sections of profiles take in the store, by number."""
    statement = _SIZES_POSTGRESQL if connection.dialect.name == "postgresql" else _SIZES_SQLITE
    rows = connection.execute(statement, {"workspace_id": workspace_id, "pids": encode(list(pids))})
    return {row[0]: int(row[1]) for row in rows}


def portions(size_of: Mapping[int, int], pids: Iterable[int], most: int) -> Iterator[list[int]]:
    """The profiles in their order, in portions of at most `most` bytes; one that is larger is alone."""
    portion: list[int] = []
    size = 0
    for pid in pids:
        size += size_of.get(pid, 0)
        if portion and size > most:
            yield portion
            portion, size = [], size_of.get(pid, 0)
        portion.append(pid)
    if portion:
        yield portion
