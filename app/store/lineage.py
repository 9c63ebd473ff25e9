"""The family tree of merged-away profiles, and what a deletion leaves behind for a job."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.state import Link
from app.store import tables
from app.store.bulk import BulkWrite

_INSERT: Final = BulkWrite(tables.Lineage, update=("parent_pid", "root_pid"))
_MOVE = text("update lineage set root_pid = :root where workspace_id = :workspace_id and root_pid = :member")
#: A member with everything below it whose occurrences went along with its own.
_CARRIED: Final = """
    with recursive carried(pid) as (
        select l.member_pid from lineage l where l.workspace_id = :workspace_id and l.parent_pid = :member
            and l.root_pid = :root
        union
        select l.member_pid from carried c join lineage l on l.workspace_id = :workspace_id and l.parent_pid = c.pid
            and l.root_pid = :root
    )
"""
_ROOT = text("select root_pid from lineage where workspace_id = :workspace_id and member_pid = :member")
_GIVE_BACK = text(
    f"{_CARRIED} update lineage set root_pid = :member"
    " where workspace_id = :workspace_id and member_pid in (select pid from carried)"
)
_UNLINK = text("delete from lineage where workspace_id = :workspace_id and member_pid = :member")
_FAMILY: Final = """
    with recursive family(pid) as (
        select cast(:pid as bigint)
        union
        select l.member_pid from family f join lineage l on l.workspace_id = :workspace_id and l.parent_pid = f.pid
    )
"""
_ERASE = text(
    f"{_FAMILY} insert into erasure (workspace_id, pid) select cast(:workspace_id as bigint), pid from family"
    " where true on conflict do nothing"
)
_FORGET = text(
    f"{_FAMILY} delete from lineage where workspace_id = :workspace_id and member_pid in (select pid from family)"
)
_ALL = text("select member_pid, parent_pid, root_pid from lineage where workspace_id = :workspace_id")


def save(connection: Connection, workspace_id: int, steps: Sequence[Link | int]) -> None:
    """Write links made, and take back those of members given by number, in their order."""
    links: list[Link] = []
    for step in steps:
        if isinstance(step, Link):
            links.append(step)
            continue
        _link(connection, workspace_id, links)
        links = []
        values = {"workspace_id": workspace_id, "member": step}
        root = connection.execute(_ROOT, values).scalar()
        if root is not None and root != step:
            connection.execute(_GIVE_BACK, {**values, "root": root})
        connection.execute(_UNLINK, values)
    _link(connection, workspace_id, links)


def _link(connection: Connection, workspace_id: int, links: list[Link]) -> None:
    if not links:
        return
    by_member = {link.member_pid: link for link in links}
    roots = {member: _root(by_member, member) for member in by_member}
    moved = [
        {"workspace_id": workspace_id, "member": member, "root": root}
        for member, root in sorted(roots.items())
        if root != member
    ]
    if moved:  # of what these members had taken in earlier
        connection.execute(_MOVE, moved)
    _INSERT.run(
        connection,
        workspace_id,
        [
            {"member_pid": member, "parent_pid": link.parent_pid, "root_pid": roots[member]}
            for member, link in sorted(by_member.items())
        ],
    )


def _root(links: dict[int, Link], pid: int) -> int:
    link = links.get(pid)
    while link is not None and link.with_occurrences:
        pid = link.parent_pid
        link = links.get(pid)
    return pid


def erase(connection: Connection, workspace_id: int, pids: Iterable[int]) -> None:
    """Hand the occurrences of deleted profiles, and of all that was merged into them, to the job that deletes them."""
    for pid in sorted(pids):
        values = {"workspace_id": workspace_id, "pid": pid}
        connection.execute(_ERASE, values)
        connection.execute(_FORGET, values)


def everything(connection: Connection, workspace_id: int) -> dict[int, tuple[int, int]]:
    """{member: (parent, root)} of the workspace. Not for large workspaces."""
    rows: Sequence[Any] = connection.execute(_ALL, {"workspace_id": workspace_id}).all()
    return {member: (parent, root) for member, parent, root in rows}
