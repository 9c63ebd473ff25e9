"""Everything that the database holds about one person, to be given back in one piece."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, text

from app.domain.history import Happening
from app.domain.identifiers import ChannelAddress, addresses_merged, names_merged, names_of
from app.domain.merging.plan import MergeRecord
from app.domain.profile import ALL_SECTIONS, CHANNEL_EMAIL, CHANNEL_PHONE, Profile
from app.store import merges
from app.store.profiles import lineage, look_up

_CONSENT: Final = text(
    "select channel, address, group_id, state, changed_us from address_state"
    " where workspace_id = :workspace_id and channel = :channel and address in :addresses order by address, group_id"
).bindparams(bindparam("addresses", expanding=True))
_DAYS: Final = text(
    "select coalesce(min(day), 0) as first, coalesce(max(day), -1) as last from occurrence"
    " where workspace_id = :workspace_id"
)
_OCCURRENCES: Final = text(
    """
    select o.stream, o.seq, o.pid, n.kind, n.name, o.time_us, o.app_id, o.properties, o.quantity, o.cents
    from occurrence o join name n on n.workspace_id = :workspace_id and n.id = o.name_id
    where o.workspace_id = :workspace_id and o.day = :day and o.pid in :pids order by o.time_us, o.stream, o.seq
    """
).bindparams(bindparam("pids", expanding=True))
_FILES: Final = text(
    "select distinct job_id from job_part where workspace_id = :workspace_id and first_pid <= :pid and last_pid >= :pid"
)


_ALL: Final = 1_000_000
#: Merges that are listed at once.
_SOME: Final = 50


@dataclass(frozen=True, slots=True)
class Merged:
    """A profile that was merged into a person's, by number, and what happened to it."""

    pid: int
    braze_id: str
    created_us: int
    history: list[Happening]


@dataclass(frozen=True, slots=True)
class Person:
    """A profile with all that was merged into it, at one instant; without occurrences and requests."""

    profile: Profile
    #: Numbers of the profile and of all that was merged into it.
    family: list[int]
    #: (channel, address, group or "", state, changed_us), also of addresses of what was merged into it, as far as the
    #: merges can be undone.
    consent: list[tuple[int, str, str, str, int]]
    history: list[Happening]
    merged: list[Merged]
    #: Ids, the newest first.
    merges: list[str]
    #: Every identifier that leads, or led, to the person.
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event, purchase, or beginning or end of a session."""

    stream: int
    seq: int
    #: One of NAME_… of app.domain.profile.
    kind: int
    name: str
    time_us: int
    app_id: str | None
    properties: dict[str, Any] | None
    quantity: int
    cents: int


def read(connection: Connection, workspace_id: int, pid: int) -> Person | None:
    """A person by the number of the profile; None when there is nobody."""
    found = look_up.fetch(connection, workspace_id, {pid: ALL_SECTIONS})
    if not found:
        return None
    profile = found[0]
    family = lineage.family(connection, workspace_id, [pid])
    ids, names, addresses, merged = [], names_of(profile), _addresses(profile), {}
    for record in _merges(connection, workspace_id, pid):
        ids.append(record.id)
        names |= names_merged(record)
        addresses |= addresses_merged(record)
        if record.merged_pid in family and record.merged_pid not in merged:
            happened = merges.history(connection, workspace_id, record.merged_pid, _ALL)
            one = Merged(record.merged_pid, record.merged_braze_id, record.merged_created_us, happened)
            merged[record.merged_pid] = one
    return Person(
        profile,
        family,
        _consent(connection, workspace_id, addresses),
        merges.history(connection, workspace_id, pid, _ALL),
        list(merged.values()),
        ids,
        frozenset(names),
    )


def _merges(connection: Connection, workspace_id: int, pid: int) -> Iterator[MergeRecord]:
    """Merges of the person, whole, newest first, some at a time: each may hold a profile."""
    behind, more = None, True
    while more:
        listed, more = merges.listed(connection, workspace_id, [pid], _SOME, behind=behind)
        if not listed:
            return
        behind = merges.place(listed[-1])
        for one in listed:
            yield from records(connection, workspace_id, [one.id])


def records(connection: Connection, workspace_id: int, ids: Sequence[str]) -> list[MergeRecord]:
    """Records of merges, with the profiles that are kept for an undo."""
    found = merges.fetch(connection, workspace_id, ids)
    return [record for record in found.values() if record is not None]


def occurrences(connection: Connection, workspace_id: int, family: Sequence[int]) -> Iterator[Occurrence]:
    """What is kept one by one, in the order of the times: a day at a time, so that no statement takes long."""
    one = {"workspace_id": workspace_id}
    first, last = connection.execute(_DAYS, one).one()
    for day in range(first, last + 1):
        for row in connection.execute(_OCCURRENCES, {**one, "day": day, "pids": list(family)}):
            properties = msgspec.json.decode(row.properties) if isinstance(row.properties, str) else row.properties
            yield Occurrence(
                row.stream,
                row.seq,
                row.kind,
                row.name,
                row.time_us,
                row.app_id,
                properties,
                row.quantity,
                row.cents,
            )


def files(connection: Connection, workspace_id: int, pid: int) -> list[str]:
    """Jobs whose files may hold the profile."""
    return sorted(connection.execute(_FILES, {"workspace_id": workspace_id, "pid": pid}).scalars())


def _addresses(profile: Profile) -> set[ChannelAddress]:
    core = profile.core or {}
    names = ((CHANNEL_EMAIL, "email"), (CHANNEL_PHONE, "phone"), (CHANNEL_PHONE, "phone_raw"))
    found = ((channel, core.get(name)) for channel, name in names)
    return {(channel, address) for channel, address in found if isinstance(address, str)}


def _consent(
    connection: Connection, workspace_id: int, of: set[ChannelAddress]
) -> list[tuple[int, str, str, str, int]]:
    found = []
    for channel in (CHANNEL_EMAIL, CHANNEL_PHONE):
        addresses = sorted(address for its, address in of if its == channel)
        for start in range(0, len(addresses), _SOME):
            values = {"workspace_id": workspace_id, "channel": channel, "addresses": addresses[start : start + _SOME]}
            found += [tuple(row) for row in connection.execute(_CONSENT, values)]
    return found
