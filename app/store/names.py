"""Names of attributes, events and products that were ever written, with how often."""

from typing import Final

from sqlalchemy import Connection, text

_ALL: Final = text("select kind, name, type, count from name_count where workspace_id = :workspace_id")
_LISTED: Final = text("select kind, name from name where workspace_id = :workspace_id")
_PAGE: Final = text(
    """
    select name, type, count from name_count where workspace_id = :workspace_id and kind = :kind and name in (
        select distinct name from name_count where workspace_id = :workspace_id and kind = :kind and name > :after
        order by name limit :limit
    ) order by name, type
    """
)


def page(connection: Connection, workspace_id: int, kind: int, after: str, limit: int) -> dict[str, dict[str, int]]:
    """The next `limit` names behind `after`, byte by byte: {name: {type: how often}}."""
    values = {"workspace_id": workspace_id, "kind": kind, "after": after, "limit": limit}
    names: dict[str, dict[str, int]] = {}
    for name, type_, count in connection.execute(_PAGE, values):
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
