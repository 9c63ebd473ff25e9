"""Profiles that were made for an imported push token, and are nobody's yet: few, and in an index of their own."""

from typing import Final

from sqlalchemy import Connection, text

_PAGE: Final = text(
    "select pid from profile where workspace_id = :workspace_id and pid > :after and created_from = 'pti'"
    " and external_id is null order by pid limit :most"
)


_WORKSPACES: Final = text(
    "select distinct workspace_id from profile where created_from = 'pti' and external_id is null /*here workspace_id*/"
)


def workspaces(connection: Connection) -> set[int]:
    """The workspaces that have any."""
    return set(connection.execute(_WORKSPACES).scalars())


def page(connection: Connection, workspace_id: int, after: int, most: int) -> list[int]:
    """The next `most` of them behind the number `after`, in the order of their numbers."""
    values = {"workspace_id": workspace_id, "after": after, "most": most}
    return list(connection.execute(_PAGE, values).scalars())
