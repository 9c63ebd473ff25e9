"""Names of attributes, events and products that were ever written, with how often."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, text

from app.domain.profile import NAME_ATTRIBUTE, NAME_EVENT

#: Names and series (with their app) are never changed, so a worker remembers their ids between batches.
NameCache = dict[tuple[int, int, str] | tuple[int, int, str, str], int]

_ALL: Final = text("select kind, name, type, count from name_count where workspace_id = :workspace_id")
_LISTED: Final = text("select kind, name from name where workspace_id = :workspace_id")
_PAGE: Final = """
    select name, type, count from name_count where workspace_id = :workspace_id and kind = :kind and name in (
        select distinct name from name_count where workspace_id = :workspace_id and kind = :kind and name > :after{0}
        order by name limit :limit
    ){0} order by name, type
    """
#: Not what refused e-commerce events are counted under.
_OCCURRED: Final = f" and (type = '' or kind = {NAME_ATTRIBUTE})"
_PAGES: Final = {False: text(_PAGE.format("")), True: text(_PAGE.format(_OCCURRED))}
_NUMBERED: Final = text(
    "select name from name_count where workspace_id = :workspace_id and kind = :kind and type = ''"
    " order by name limit :limit offset :skip"
)
#: Of each workspace by its key: no index leads to the names of all of them.
_REFUSED: Final = text(
    "select coalesce(sum(n.count), 0) from workspace w join name_count n on n.workspace_id = w.id"
    " and n.kind = :kind and n.name in :names and n.type in :codes"
    " where (cast(:workspace_id as bigint) is null or w.id = :workspace_id) /*here n.workspace_id*/"
).bindparams(bindparam("names", expanding=True), bindparam("codes", expanding=True))


def refused(connection: Connection, workspace_id: int | None, names: Sequence[str], codes: Sequence[str]) -> int:
    """How often events of these names were refused for these reasons, ever; in one workspace or, for None, in all."""
    values = {"workspace_id": workspace_id, "kind": NAME_EVENT, "names": list(names), "codes": list(codes)}
    return int(connection.execute(_REFUSED, values).scalar_one())


def numbered(connection: Connection, workspace_id: int, kind: int, skip: int, limit: int) -> list[str]:
    """Names of events or products that occurred, byte by byte, without the first `skip`."""
    values = {"workspace_id": workspace_id, "kind": kind, "skip": skip, "limit": limit}
    return list(connection.execute(_NUMBERED, values).scalars())


def page(
    connection: Connection, workspace_id: int, kind: int, after: str, limit: int, *, occurred: bool = False
) -> dict[str, dict[str, int]]:
    """The next `limit` names behind `after`, byte by byte: {name: {type: how often}}.

    `occurred`: without events that were only refused.
    """
    values = {"workspace_id": workspace_id, "kind": kind, "after": after, "limit": limit}
    names: dict[str, dict[str, int]] = {}
    for name, type_, count in connection.execute(_PAGES[occurred], values):
        names.setdefault(name, {})[type_] = count
    return names


def listed(connection: Connection, workspace_id: int) -> set[tuple[int, str]]:
    """(kind, name) of the whole catalogue. Not for large workspaces."""
    rows = connection.execute(_LISTED, {"workspace_id": workspace_id})
    return {(kind, name) for kind, name in rows}


def counts(connection: Connection, workspace_id: int) -> dict[tuple[int, str, str], int]:
    """{(kind, name, type): how often}. Not for large workspaces."""
    rows = connection.execute(_ALL, {"workspace_id": workspace_id})
    return {(kind, name, type_): count for kind, name, type_, count in rows}
