"""Profiles: loading what a batch needs, and writing what it changed."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import attrgetter, or_
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.commands import Command, UndoMerge
from app.domain.merging.plan import MergeRecord
from app.domain.profile import (
    ALIAS,
    ALL_SECTIONS,
    BRAZE,
    CHANNEL_EMAIL,
    CORE,
    CUSTOM,
    DEPRECATED,
    DEVICES,
    EMAIL,
    EVENTS,
    EXTERNAL,
    MESSAGES,
    PHONE,
    PURCHASES,
    SECTION_NAMES,
    Address,
    AddressState,
    ApplySettings,
    Key,
    Profile,
)
from app.domain.resolve import Needs, addresses_needed, choices, needs
from app.domain.state import Changes, State, keys_of
from app.store import merges, tables
from app.store.bulk import BulkWrite, encode, pipelined
from app.store.profiles import crowds, lineage

_decode = msgspec.json.decode

_ROW_FIELDS: Final = (
    "pid",
    "braze_id",
    "created_us",
    "updated_us",
    "updated_index",
    "external_id",
    "created_from",
    "random_bucket",
    "flags",
    "revenue_cents",
    "purchase_count",
    "first_purchase_us",
    "last_purchase_us",
    "session_count",
    "first_session_us",
    "last_session_us",
)
_MUTABLE: Final = tuple(
    name for name in _ROW_FIELDS if name not in ("pid", "braze_id", "created_us", "created_from", "random_bucket")
)
_COLUMNS: Final = ", ".join(f"t.{name}" for name in _ROW_FIELDS)
_PARTS: Final = (EVENTS, PURCHASES, DEVICES, MESSAGES)

_INSERT_PROFILES = BulkWrite(tables.ProfileRow)
_UPDATE_PROFILES = BulkWrite(tables.ProfileRow, update=_MUTABLE)
_WRITE_SECTION = {
    CORE: BulkWrite(tables.ProfileCore, update=("doc",)),
    CUSTOM: BulkWrite(tables.ProfileCustom, update=("doc",)),
}
_WRITE_PARTS = BulkWrite(tables.ProfilePart, update=("doc",))
_INSERT_IDENTIFIERS = BulkWrite(tables.Identifier)
_WRITE_ADDRESSES = BulkWrite(tables.AddressStateRow, update=("state", "changed_us"))
_INSERT_OCCURRENCES = BulkWrite(tables.OccurrenceRow)
_INSERT_NAMES = BulkWrite(tables.Name)
_COUNT_NAMES = BulkWrite(tables.NameCount, add=("count",))


class _Query:
    """One look-up for many keys, which arrive as one JSON array: `columns` of the rows of `table` where `match` holds.

    Both may name the key: `{0}`, `{1}` … are its members, `{one}` is a key that is a string and no array.
    On PostgreSQL the look-up is a lateral subquery behind `offset 0`: that cannot become a hash join over the whole
    workspace, which is what the planner makes of a plain join while its statistics are missing or old (40 ms instead of
    2 for 1,500 keys among 30,000 profiles, and growing with them).
    """

    def __init__(self, table: str, columns: str, match: str, *, numbers: tuple[int, ...] = (), some: str = "") -> None:
        """`numbers` are the positions of members that are integers.

        With `some`, a column that is unique among the rows of a key, `run` takes the parameter `most`: rows for a key.
        """
        looked_up = f"select {columns} from {table} t where t.workspace_id = :workspace_id and {match}"
        members = [_pg_member(n, n in numbers) for n in range(3)]
        looked_up = looked_up.format(*members, one="k.v #>> '{}'")
        self._postgresql = text(
            "select k.n - 1, r.* from jsonb_array_elements(cast(:keys as jsonb)) with ordinality as k(v, n)"
            f" cross join lateral ({looked_up}{' limit :most' if some else ''} offset 0) r"
        )
        members = [f"k.value ->> {n}" for n in range(3)]
        if some:  # a join of SQLite has no limit for each key, but this subquery has
            again = match.replace("t.", "i.")
            match += f" and t.{some} in (select i.{some} from {table} i where i.workspace_id = :workspace_id"
            match += f" and {again} limit :most)"
        joined = f"select k.key, {columns} from json_each(:keys) k cross join {table} t"
        self._sqlite = text(
            f"{joined} where t.workspace_id = :workspace_id and {match}".format(*members, one="k.value")
        )

    def run(self, connection: Connection, workspace_id: int, keys: object, **more: object) -> Sequence[Any]:
        """Rows of (position of the key, *columns). `more` are parameters of the look-up."""
        statement = self._postgresql if connection.dialect.name == "postgresql" else self._sqlite
        # All at once: psycopg then converts the rows in C instead of one by one.
        return connection.execute(statement, {"workspace_id": workspace_id, "keys": encode(keys), **more}).all()


def _pg_member(n: int, is_number: bool) -> str:
    return f"cast(k.v ->> {n} as bigint)" if is_number else f"k.v ->> {n}"


_FIND = _Query("identifier", "t.pid", "t.kind = {0} and t.label = {1} and t.value = {2}", numbers=(0,))
#: Of the holders of each key only some, `most`.
_FIND_SOME = _Query("identifier", "t.pid", "t.kind = {0} and t.label = {1} and t.value = {2}", numbers=(0,), some="pid")
_FIND_BRAZE = _Query("profile", "t.pid", "t.braze_id = {one}")
#: Where each section lies, and what else its row has to match. The key of _PROFILES is [pid, bit mask of sections].
_SECTION_ROWS: Final = {
    CORE: ("profile_core", ""),
    CUSTOM: ("profile_custom", ""),
    **{part: ("profile_part", f" and s.part = {part}") for part in _PARTS},
}
_PROFILES = _Query(
    "profile",
    _COLUMNS
    + "".join(
        f", case when {{1}} & {section} <> 0 then (select s.doc from {table} s"
        f" where s.workspace_id = t.workspace_id and s.pid = t.pid{extra}) end as doc_{section}"
        for section, (table, extra) in _SECTION_ROWS.items()
    ),
    "t.pid = {0}",
    numbers=(0, 1),
)
_ADDRESSES = _Query(
    "address_state",
    "t.channel, t.address, t.group_id, t.state, t.changed_us",
    "t.channel = {0} and t.address = {1} and t.group_id = {2}",
    numbers=(0,),
)
_NAMES = _Query("name", "t.kind, t.name, t.id", "t.kind = {0} and t.name = {1}", numbers=(0,))
_LAST_NAME = text("select coalesce(max(id), 0) from name where workspace_id = :workspace_id")
_DELETE_IDENTIFIER = text(
    "delete from identifier where workspace_id = :workspace_id and kind = :kind and label = :label and value = :value"
    " and pid = :pid"
)
_DELETE_PROFILE: Final = [
    text(f"delete from {table} where workspace_id = :workspace_id and pid = :pid")
    for table in ("profile", "profile_core", "profile_custom", "profile_part")
]
_FORGET_ADDRESS = text(
    "delete from address_state where workspace_id = :workspace_id and channel = :channel and address = :address"
)
_TAKE_BACK_ADDRESS = text(
    "delete from address_state where workspace_id = :workspace_id and channel = :channel and address = :address"
    " and group_id = :group_id"
)
_ALL_PIDS = text("select pid from profile where workspace_id = :workspace_id")
_ALL_IDENTIFIERS = text("select kind, label, value, pid from identifier where workspace_id = :workspace_id")
_ALL_ADDRESSES = text(
    "select channel, address, group_id, state, changed_us from address_state where workspace_id = :workspace_id"
)
# No joins: what is known of a workspace's size is too little for a plan of them, and the rest fits into memory.
_ALL_OCCURRENCES = text(
    "select stream, seq, ordinal, pid, name_id, time_us, app_id, properties, quantity, cents from occurrence"
    " where workspace_id = :workspace_id"
)
_ALL_NAMES = text("select id, kind, name from name where workspace_id = :workspace_id")
_ALL_ROOTS = text("select member_pid, root_pid from lineage where workspace_id = :workspace_id")

#: Names are never changed, so a worker remembers their ids between batches. Cleared when it gets large.
NameCache = dict[tuple[int, int, str], int]
_MAX_CACHED_NAMES: Final = 100_000


def load(
    connection: Connection,
    workspace_id: int,
    commands: Sequence[Command],
    settings: ApplySettings,
    limits: crowds.Limits,
    known: crowds.Crowds,
) -> State:
    """The part of a workspace that the commands can see or change.

    `limits` says how many are loaded of the holders of an address. When reducing raises TooFewLoadedError, it takes
    more of them. `known` are crowds as they are now; those that had to be looked over are added.
    """
    wanted: Needs = needs(commands)
    records = merges.fetch(connection, workspace_id, [c.merge_id for c in commands if isinstance(c, UndoMerge)])
    index = find(connection, workspace_id, wanted.sections, limits.holders + 1)
    crowded = _crowded(connection, workspace_id, index, commands, limits, known)
    sections: dict[int, int] = {}
    for key, pids in index.items():
        for pid in pids:
            sections[pid] = sections.get(pid, 0) | wanted.sections[key]
    if crowded:
        # Who of the others belongs to a crowd as well is told by their profiles, and is then addressed by its commands.
        union = reduce(or_, wanted.sections.values(), CORE)
        sections = dict.fromkeys(sections, union)
    for record in records.values():
        if record is not None:
            sections[record.kept_pid] = ALL_SECTIONS
    state = State(fetch(connection, workspace_id, sections), index, {}, settings)
    _join_crowds(state, crowded)
    if wanted.identity:
        _load_shared(connection, workspace_id, state, wanted)
    if records:
        _load_records(connection, workspace_id, state, records)
    addresses = addresses_needed(commands, state, wanted.moving or bool(wanted.identity or records))
    addresses |= {address for record in records.values() for address in _addresses_of(record)}
    if addresses:
        state.addresses = fetch_addresses(connection, workspace_id, addresses)
    return state


def _crowded(
    connection: Connection,
    workspace_id: int,
    index: dict[Key, set[int]],
    commands: Sequence[Command],
    limits: crowds.Limits,
    known: crowds.Crowds,
) -> dict[Key, crowds.Part]:
    """The crowds among the holders; the index then has those of them that are loaded."""
    crowded = {}
    found = [key for key, pids in index.items() if len(pids) > limits.holders]
    chosen = choices(commands) if found else {}
    for key in found:
        crowded[key] = known.part(connection, workspace_id, key, limits, chosen.get(key))
        index[key] = crowded[key].pids
    return crowded


def _join_crowds(state: State, crowded: dict[Key, crowds.Part]) -> None:
    for key, part in crowded.items():
        loaded = {True: 0, False: 0}
        for pid, profile in state.profiles.items():
            if key in keys_of(profile):
                state.index[key].add(pid)
                loaded[profile.external_id is not None] += 1
        rest = part.unloaded(loaded)
        if rest:
            state.unloaded[key] = rest


def _load_shared(connection: Connection, workspace_id: int, state: State, wanted: Needs) -> None:
    """Whether anybody else has the addresses of profiles that may be deleted: consent goes with the last holder.

    Who they are does not matter, since nobody looks for them; so one more than there are profiles to be deleted is
    enough to know that an address stays.
    """
    pids = {pid for key in wanted.identity for pid in state.index[key]}
    profiles = [state.profiles[pid] for pid in pids] if not wanted.moving else list(state.profiles.values())
    keys = {key for profile in profiles for key in keys_of(profile)} | wanted.given
    shared = [key for key in keys if key[0] in (EMAIL, PHONE) and key not in state.index]
    if shared:
        state.index |= find(connection, workspace_id, shared, len(state.profiles) + 1)


def _load_records(
    connection: Connection, workspace_id: int, state: State, records: dict[str, MergeRecord | None]
) -> None:
    """What undoing these merges looks at: who has the identifiers now, and where the kept profiles went.

    After a crash a merge may be done again in the batch that undoes it; so the identifiers of all who are here count.
    """
    state.records = records
    found = [record for record in records.values() if record is not None]
    state.lineage = lineage.above(connection, workspace_id, {record.kept_pid for record in found})
    people = [record.snapshot for record in found if record.snapshot is not None] + list(state.profiles.values())
    keys = {key for profile in people for key in keys_of(profile)}
    keys |= {(kind, "", key[2]) for key in keys if key[0] in (EXTERNAL, DEPRECATED) for kind in (EXTERNAL, DEPRECATED)}
    missing = find(connection, workspace_id, keys - state.index.keys(), len(people) + 1)
    state.index |= missing


def _addresses_of(record: MergeRecord | None) -> list[Address]:
    found: list[Address] = []
    if record is not None and record.plan is not None and record.plan.consent is not None:
        found.append(record.plan.consent.address)
    email = (record.snapshot.core or {}).get("email") if record is not None and record.snapshot is not None else None
    return [*found, (CHANNEL_EMAIL, email, "")] if isinstance(email, str) else found


def find(
    connection: Connection, workspace_id: int, keys: Iterable[Key], most: int | None = None
) -> dict[Key, set[int]]:
    """Who has which of the identifiers; every asked key is in the result.

    `most` bounds the holders of an e-mail address or a phone number that are found.
    """
    index: dict[Key, set[int]] = {key: set() for key in keys}
    unique = [key for key in index if key[0] in (EXTERNAL, ALIAS) or (most is None and key[0] in (EMAIL, PHONE))]
    _find_listed(connection, workspace_id, index, unique)
    if most is not None:
        shared = [key for key in index if key[0] in (EMAIL, PHONE)]
        if shared:
            for n, pid in _FIND_SOME.run(connection, workspace_id, shared, most=most):
                index[shared[n]].add(pid)
    # A former external id counts only where nobody has it as the present one, so few have to be looked for.
    former = [key for key in index if key[0] == DEPRECATED and not index.get((EXTERNAL, "", key[2]))]
    _find_listed(connection, workspace_id, index, former)
    braze_ids = [key[2] for key in index if key[0] == BRAZE]
    if braze_ids:
        for n, pid in _FIND_BRAZE.run(connection, workspace_id, braze_ids):
            index[BRAZE, "", braze_ids[n]].add(pid)
    return index


def _find_listed(connection: Connection, workspace_id: int, index: dict[Key, set[int]], keys: list[Key]) -> None:
    if keys:
        for n, pid in _FIND.run(connection, workspace_id, keys):
            index[keys[n]].add(pid)


def fetch(connection: Connection, workspace_id: int, sections: dict[int, int]) -> list[Profile]:
    """Profiles by number, each with the sections of its bit mask; a section without a row is empty."""
    if not sections:
        return []
    profiles = []
    names = list(SECTION_NAMES.items())
    for row in _PROFILES.run(connection, workspace_id, sorted(sections.items())):
        profile = Profile(*row[1 : 1 + len(_ROW_FIELDS)])
        wanted = sections[profile.pid]
        for (section, name), doc in zip(names, row[1 + len(_ROW_FIELDS) :], strict=True):
            if wanted & section:
                setattr(profile, name, {} if doc is None else _decode(doc))
        profiles.append(profile)
    return profiles


def fetch_addresses(
    connection: Connection, workspace_id: int, addresses: Iterable[Address]
) -> dict[Address, AddressState | None]:
    """Recorded consent of addresses; None where nothing was ever recorded."""
    found: dict[Address, AddressState | None] = dict.fromkeys(addresses)
    for _, channel, address, group_id, state, changed_us in _ADDRESSES.run(connection, workspace_id, list(found)):
        found[channel, address, group_id] = AddressState(state, changed_us)
    return found


def save(connection: Connection, workspace_id: int, state: State, names: NameCache) -> NameCache:
    """Write what changed. Returns newly made names, to be remembered once the transaction is committed."""
    changes = state.changes
    made = _make_names(connection, workspace_id, changes, names)
    _delete(connection, workspace_id, changes)
    lineage.save(connection, workspace_id, changes.lineage)
    family = lineage.erase(connection, workspace_id, changes.erased)
    changes.erased_identifiers |= merges.identifiers(connection, workspace_id, family)
    merges.erase(connection, workspace_id, family)
    touched = sorted(changes.sections)
    with pipelined(connection):
        _UPDATE_PROFILES.run(
            connection, workspace_id, [_row(state.profiles[pid]) for pid in touched if pid not in changes.created]
        )
        for section, write in _WRITE_SECTION.items():
            write.run(connection, workspace_id, _section_rows(state, touched, section))
        _WRITE_PARTS.run(
            connection,
            workspace_id,
            [{**row, "part": part} for part in _PARTS for row in _section_rows(state, touched, part)],
        )
        _INSERT_PROFILES.run(connection, workspace_id, [_row(state.profiles[pid]) for pid in sorted(changes.created)])
        _INSERT_IDENTIFIERS.run(connection, workspace_id, _identifier_rows(changes))
        _WRITE_ADDRESSES.run(connection, workspace_id, _address_rows(changes))
        _COUNT_NAMES.run(connection, workspace_id, _count_rows(changes))
        _INSERT_OCCURRENCES.run(connection, workspace_id, _occurrence_rows(workspace_id, changes, made, names))
        merges.save(connection, workspace_id, state)
    return made


_values = attrgetter(*_ROW_FIELDS)


def _row(profile: Profile) -> dict[str, Any]:
    return dict(zip(_ROW_FIELDS, _values(profile), strict=True))


def _section_rows(state: State, pids: Iterable[int], section: int) -> list[dict[str, Any]]:
    name, changed = SECTION_NAMES[section], state.changes.sections
    return [{"pid": pid, "doc": encode(getattr(state.profiles[pid], name))} for pid in pids if changed[pid] & section]


def _delete(connection: Connection, workspace_id: int, changes: Changes) -> None:
    """What is gone goes before anything is written: a unique identifier may have moved to another profile."""
    if changes.removed:
        gone = [{"workspace_id": workspace_id, "pid": pid} for pid in sorted(changes.removed)]
        for statement in _DELETE_PROFILE:
            connection.execute(statement, gone)
    if changes.forgotten:
        connection.execute(
            _FORGET_ADDRESS,
            [
                {"workspace_id": workspace_id, "channel": channel, "address": address}
                for channel, address in sorted(changes.forgotten)
            ],
        )
    taken_back = sorted(address for address, consent in changes.addresses.items() if consent is None)
    if taken_back:
        connection.execute(
            _TAKE_BACK_ADDRESS,
            [
                {"workspace_id": workspace_id, "channel": channel, "address": address, "group_id": group_id}
                for channel, address, group_id in taken_back
            ],
        )
    if changes.keys_dropped:
        connection.execute(
            _DELETE_IDENTIFIER,
            [
                {"workspace_id": workspace_id, "kind": kind, "label": label, "value": value, "pid": pid}
                for (kind, label, value), pid in sorted(changes.keys_dropped)
            ],
        )


def _identifier_rows(changes: Changes) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "label": label, "value": value, "pid": pid}
        for (kind, label, value), pid in sorted(changes.keys_added)
    ]


def _address_rows(changes: Changes) -> list[dict[str, Any]]:
    return [
        {
            "channel": channel,
            "address": address,
            "group_id": group_id,
            "state": consent.state,
            "changed_us": consent.changed_us,
        }
        for (channel, address, group_id), consent in sorted(changes.addresses.items())
        if consent is not None
    ]


def _count_rows(changes: Changes) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "name": name, "type": type_, "count": count}
        for (kind, name, type_), count in sorted(changes.written.items())
    ]


def _make_names(connection: Connection, workspace_id: int, changes: Changes, cache: NameCache) -> NameCache:
    """Ids of the batch's names that the cache does not have; new ones are stored."""
    wanted = [name for name in sorted(changes.names) if (workspace_id, *name) not in cache]
    made: NameCache = {}
    if wanted:
        for _, kind, name, number in _NAMES.run(connection, workspace_id, wanted):
            made[workspace_id, kind, name] = number
        missing = [name for name in wanted if (workspace_id, *name) not in made]
        if missing:
            last = connection.execute(_LAST_NAME, {"workspace_id": workspace_id}).scalar_one()
            rows = [{"kind": kind, "name": name, "id": last + 1 + n} for n, (kind, name) in enumerate(missing)]
            _INSERT_NAMES.run(connection, workspace_id, [dict(row) for row in rows])
            made |= {(workspace_id, row["kind"], row["name"]): row["id"] for row in rows}
    return made


def _occurrence_rows(workspace_id: int, changes: Changes, made: NameCache, cache: NameCache) -> list[dict[str, Any]]:
    return [
        {
            "day": occurrence.time_us // 86_400_000_000,
            "stream": occurrence.stream,
            "seq": occurrence.seq,
            "ordinal": occurrence.ordinal,
            "pid": occurrence.pid,
            "name_id": _id(workspace_id, occurrence.name_kind, occurrence.name, made, cache),
            "time_us": occurrence.time_us,
            "app_id": occurrence.app_id,
            "properties": occurrence.properties,
            "quantity": occurrence.quantity,
            "cents": occurrence.cents,
        }
        for occurrence in changes.occurrences
    ]


def _id(workspace_id: int, kind: int, name: str, made: NameCache, cache: NameCache) -> int:
    key = (workspace_id, kind, name)
    return made[key] if key in made else cache[key]


def remember(cache: NameCache, made: NameCache) -> None:
    """Keep committed names for the next batches."""
    if len(cache) > _MAX_CACHED_NAMES:
        cache.clear()
    cache.update(made)


def dump(connection: Connection, workspace_id: int) -> State:
    """The whole workspace but its lineage, for comparing it with the reference. Not for large workspaces."""
    listed = connection.execute(_ALL_IDENTIFIERS, {"workspace_id": workspace_id}).all()
    consents = connection.execute(_ALL_ADDRESSES, {"workspace_id": workspace_id}).all()
    pids = connection.execute(_ALL_PIDS, {"workspace_id": workspace_id}).scalars().all()
    found = fetch(connection, workspace_id, dict.fromkeys(pids, ALL_SECTIONS))
    index: dict[Key, set[int]] = {}
    for kind, label, value, pid in listed:
        index.setdefault((kind, label, value), set()).add(pid)
    addresses: dict[Address, AddressState | None] = {
        (channel, address, group_id): AddressState(state, changed_us)
        for channel, address, group_id, state, changed_us in consents
    }
    return State(found, index, addresses, complete=True)


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
