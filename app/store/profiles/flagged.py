"""Profiles with a flag: few of a great many."""

from typing import Final

from sqlalchemy import Connection, text

#: Profiles that are looked at by one statement, so that none takes long where hardly anybody has the flag.
WINDOW: Final = 100_000

_PAGE: Final = text(
    "select pid, flags from profile where workspace_id = :workspace_id and pid > :after and pid <= :upto"
    " and flags & :flag <> 0 order by pid limit :most"
)
_EDGE: Final = text(
    "select max(pid) from (select pid from profile where workspace_id = :workspace_id and pid > :after"
    " order by pid limit :window) w"
)


def page(connection: Connection, workspace_id: int, flag: int, after: int, most: int) -> list[int]:
    """The next `most` profiles with the flag behind the number `after`, in the order of their numbers."""
    found: list[int] = []
    while len(found) < most:
        values = {"workspace_id": workspace_id, "after": after, "window": WINDOW}
        upto = connection.execute(_EDGE, values).scalar()
        if upto is None:
            break
        rows = connection.execute(_PAGE, {**values, "upto": upto, "flag": flag, "most": most - len(found)})
        found += [row.pid for row in rows]
        after = upto
    return found
