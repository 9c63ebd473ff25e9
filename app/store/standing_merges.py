"""Finding the merges that stand on one that is undone, without reading them."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

_INTO: Final = text(
    "select id, previous from merge_record where workspace_id = :workspace_id and kept_pid = :pid and undone is null"
)
_AWAY: Final = text(
    "select id, kept_pid from merge_record where workspace_id = :workspace_id and merged_pid = :pid and undone is null"
)


@dataclass(frozen=True, slots=True)
class Above:
    """What stands on a merge."""

    #: Ids of merges, in the order in which they were done.
    ids: list[str]
    #: Number of whoever has the kept profile behind the last one of them.
    root_pid: int


def above(connection: Connection, workspace_id: int, merge_id: str, kept_pid: int, most: int) -> Above:
    """The merges that stand on one into the profile `kept_pid`, at most so many."""
    ids: list[str] = []
    pid, last = kept_pid, merge_id
    while True:
        rows = connection.execute(_INTO, {"workspace_id": workspace_id, "pid": pid})
        following = {previous: id_ for id_, previous in rows}
        while last in following and len(ids) < most:
            last = following[last]
            ids.append(last)
        away = connection.execute(_AWAY, {"workspace_id": workspace_id, "pid": pid}).one_or_none()
        if away is None or len(ids) >= most:
            return Above(ids, pid)
        last, pid = away
        ids.append(last)
