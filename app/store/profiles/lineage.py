"""The family tree of merged-away profiles, and what a deletion leaves behind for a job."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.changes import Link
from app.store import tables
from app.store.bulk import EACH_POSTGRESQL, EACH_SQLITE, BulkWrite, encode

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
#: Profiles of the JSON array :pids with everybody who was merged into them.
_FAMILY: Final = """
    with recursive family(pid) as (
        select cast(value as bigint) from {each}
        union
        select l.member_pid from family f join lineage l on l.workspace_id = :workspace_id and l.parent_pid = f.pid
    )
    select pid from family
"""
_FAMILY_POSTGRESQL = text(_FAMILY.format(each=EACH_POSTGRESQL))
_FAMILY_SQLITE = text(_FAMILY.format(each=EACH_SQLITE))
_ERASE = text("insert into erasure (workspace_id, pid) values (:workspace_id, :pid) on conflict do nothing")
_ANCESTORS: Final = """
    with recursive above(pid) as (
        select cast(value as bigint) from {each}
        union
        select l.parent_pid from above a join lineage l on l.workspace_id = :workspace_id and l.member_pid = a.pid
    )
    select l.member_pid, l.parent_pid, l.root_pid from above a
    join lineage l on l.workspace_id = :workspace_id and l.member_pid = a.pid
"""
_ANCESTORS_POSTGRESQL = text(_ANCESTORS.format(each=EACH_POSTGRESQL))
_ANCESTORS_SQLITE = text(_ANCESTORS.format(each=EACH_SQLITE))
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


def erase(connection: Connection, workspace_id: int, pids: Iterable[int]) -> list[int]:
    """Hand the occurrences of deleted profiles, and of all that was merged into them, to the job that deletes them.

    Returns the numbers of all these.
    """
    wanted = sorted(pids)
    if not wanted:
        return []
    everybody = family(connection, workspace_id, wanted)
    connection.execute(_ERASE, [{"workspace_id": workspace_id, "pid": pid} for pid in everybody])
    connection.execute(_UNLINK, [{"workspace_id": workspace_id, "member": pid} for pid in everybody])
    return everybody


def family(connection: Connection, workspace_id: int, pids: Iterable[int]) -> list[int]:
    """The numbers of profiles and of all that was merged into them."""
    statement = _FAMILY_POSTGRESQL if connection.dialect.name == "postgresql" else _FAMILY_SQLITE
    values = {"workspace_id": workspace_id, "pids": encode(sorted(pids))}
    return list(connection.execute(statement, values).scalars())


def above(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, Link]:
    """The links by which merged-away profiles hang on those that are there, by member."""
    statement = _ANCESTORS_POSTGRESQL if connection.dialect.name == "postgresql" else _ANCESTORS_SQLITE
    rows = connection.execute(statement, {"workspace_id": workspace_id, "pids": encode(sorted(pids))})
    return {member: Link(member, parent, with_occurrences=root != member) for member, parent, root in rows}


def everything(connection: Connection, workspace_id: int) -> dict[int, tuple[int, int]]:
    """{member: (parent, root)} of the workspace. Not for large workspaces."""
    rows: Sequence[Any] = connection.execute(_ALL, {"workspace_id": workspace_id}).all()
    return {member: (parent, root) for member, parent, root in rows}
