"""Reading a whole workspace, to compare it with the reference."""

from typing import Any

import msgspec
from sqlalchemy import Connection, text

from app.domain import sizes
from app.domain.profile import ALL_SECTIONS, Address, AddressState, Identifier
from app.domain.state import State
from app.store.profiles import look_up

_decode = msgspec.json.decode

_ALL_PIDS = text("select pid from profile where workspace_id = :workspace_id")
_ALL_IDENTIFIERS = text("select kind, label, value, pid from identifier where workspace_id = :workspace_id")
_ALL_ADDRESSES = text(
    "select channel, address, group_id, state, changed_us, forget_us from address_state"
    " where workspace_id = :workspace_id"
)
# No joins: the planner knows too little of a workspace's size to plan them, and all of it fits into memory.
_ALL_OCCURRENCES = text(
    "select stream, seq, ordinal, pid, name_id, time_us, app_id, properties, quantity, cents from occurrence"
    " where workspace_id = :workspace_id"
)
_ALL_NAMES = text("select id, kind, name from name where workspace_id = :workspace_id")
_ALL_ROOTS = text("select member_pid, root_pid from lineage where workspace_id = :workspace_id")


def dump(connection: Connection, workspace_id: int) -> State:
    """The whole workspace but its lineage, for comparing it with the reference. Not for large workspaces."""
    listed = connection.execute(_ALL_IDENTIFIERS, {"workspace_id": workspace_id}).all()
    consents = connection.execute(_ALL_ADDRESSES, {"workspace_id": workspace_id}).all()
    pids = connection.execute(_ALL_PIDS, {"workspace_id": workspace_id}).scalars().all()
    profiles = look_up.fetch(connection, workspace_id, dict.fromkeys(pids, ALL_SECTIONS))
    for profile in profiles:
        profile.size = profile.size or sizes.of_profile(profile)
    index: dict[Identifier, set[int]] = {}
    for kind, label, value, pid in listed:
        index.setdefault((kind, label, value), set()).add(pid)
    addresses: dict[Address, AddressState | None] = {
        (channel, address, topic): AddressState(*state) for channel, address, topic, *state in consents
    }
    return State(profiles, index, addresses, complete=True)


def occurrences(connection: Connection, workspace_id: int) -> list[tuple[Any, ...]]:
    """The occurrences of everybody who is there, with their names, ordered by place in the log.

    `pid` is the profile that they happened to, which may have been merged since. Not for large workspaces.
    """
    one = {"workspace_id": workspace_id}
    there = set(connection.execute(_ALL_PIDS, one).scalars())
    known = {number: (kind, name) for number, kind, name in connection.execute(_ALL_NAMES, one)}
    roots = {row.member_pid: row.root_pid for row in connection.execute(_ALL_ROOTS, one)}
    rows = sorted(
        (row for row in connection.execute(_ALL_OCCURRENCES, one) if roots.get(row.pid, row.pid) in there),
        key=lambda row: (row.stream, row.seq, row.ordinal),
    )
    # SQLite gives the document as text, psycopg gives it parsed.
    return [
        (*row[:4], *known[row.name_id], *row[5:7], _decode(row[7]) if isinstance(row[7], str) else row[7], *row[8:])
        for row in rows
    ]
