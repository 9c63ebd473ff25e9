"""Writing what a batch changed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.changes import Changes
from app.domain.profile import CORE, CUSTOM, SECTION_NAMES, Profile
from app.domain.state import State
from app.domain.times import DAY
from app.store import job_parts, merges, series, tables, told
from app.store.bulk import BulkUpdate, BulkWrite, Row, Rows, encoded, pipelined
from app.store.names import NameCache
from app.store.profiles import lineage
from app.store.profiles.catalogue import MAX_NAMES, make_names, number_of
from app.store.profiles.known import OFTEN, SELDOM, Known, seldom, values_inside
from app.store.profiles.look_up import places
from app.store.profiles.queries import PARTS, ROW_FIELDS
from app.store.profiles.summaries import Summaries
from app.store.segments import values

_INSERT_PROFILES = BulkWrite(tables.ProfileRow, ROW_FIELDS)
_UPDATE_PROFILES = BulkWrite(tables.ProfileRow, ROW_FIELDS, update=(*OFTEN, *SELDOM))
_TOUCH_PROFILES = BulkUpdate(tables.ProfileRow, OFTEN)
_SECTION: Final = ("pid", "doc")
_PART: Final = ("pid", "part", "doc")
_WRITE_SECTION = {
    CORE: BulkWrite(tables.ProfileCore, _SECTION, update=("doc",)),
    CUSTOM: BulkWrite(tables.ProfileCustom, _SECTION, update=("doc",)),
}
_WRITE_PARTS = BulkWrite(tables.ProfilePart, _PART, update=("doc",))
#: The same with `profile_value` beside them.
_WRITE_SECTION_AND_VALUES = {
    CORE: BulkWrite(tables.ProfileCore, _SECTION, update=("doc",), also=values.also(str(CORE))),
    CUSTOM: BulkWrite(tables.ProfileCustom, _SECTION, update=("doc",), also=values.also(str(CUSTOM))),
}
_WRITE_PARTS_AND_VALUES = BulkWrite(tables.ProfilePart, _PART, update=("doc",), also=values.also("r.part"))
_INSERT_IDENTIFIERS = BulkWrite(tables.IdentifierRow)
_WRITE_ADDRESSES = BulkWrite(tables.AddressStateRow, update=("state", "changed_us", "forget_us"))
_INSERT_OCCURRENCES = BulkWrite(
    tables.OccurrenceRow,
    (
        "day", "stream", "seq", "ordinal", "pid", "name_id", "time_us", "app_id", "properties", "quantity", "cents",
    ),
)  # fmt: skip
_COUNT_NAMES = BulkWrite(tables.NameCount, add=("count",))
_DELETE_IDENTIFIER = text(
    "delete from identifier where workspace_id = :workspace_id and kind = :kind and label = :label and value = :value"
    " and pid = :pid"
)
_DELETE_PROFILE: Final = [
    text(f"delete from {table} where workspace_id = :workspace_id and pid = :pid")
    for table in ("profile", "profile_core", "profile_custom", "profile_part")
]
_DELETE_VALUES: Final = text("delete from profile_value where workspace_id = :workspace_id and pid = :pid")
_FORGET_ADDRESS = text(
    "delete from address_state where workspace_id = :workspace_id and channel = :channel and address = :address"
)
_TAKE_BACK_ADDRESS = text(
    "delete from address_state where workspace_id = :workspace_id and channel = :channel and address = :address"
    " and group_id = :group_id"
)


def save(
    connection: Connection,
    workspace_id: int,
    state: State,
    names: NameCache,
    most_names: int = MAX_NAMES,
    most_series: int = series.MAX_SERIES,
    *,
    known: Mapping[int, Known] = MappingProxyType({}),
    with_values: bool = False,
    has_values: bool = False,
) -> NameCache:
    """Write what changed. Returns newly made names and series, to be remembered once the transaction is committed.
    `known`: as for `writes`.

    As the lane says: `with_values`, whether sections are written to `profile_value` as well, and `has_values`, whether
    whoever is deleted may have some there.
    """
    changes = state.changes
    made = make_names(connection, workspace_id, changes, names, most_names, most_series)
    delete(connection, workspace_id, changes, has_values=has_values or with_values)
    lineage.save(connection, workspace_id, changes.lineage)
    family = lineage.erase(connection, workspace_id, changes.erased)
    changes.erased_identifiers |= merges.identifiers(connection, workspace_id, family)
    merges.erase(connection, workspace_id, family)
    job_parts.erase(connection, workspace_id, family)
    changes.members |= told.erase(connection, workspace_id, family)
    changes.family.update(family)
    with pipelined(connection):
        for table, rows in writes(workspace_id, state, made, names, with_values=with_values, known=known):
            table.write(connection, workspace_id, rows)
    return made


def writes(
    workspace_id: int,
    state: State,
    made: NameCache,
    names: NameCache,
    *,
    with_values: bool,
    known: Mapping[int, Known],
) -> Iterator[Rows]:
    """All rows to be written once `delete` has been called, each time those of one table. The documents in them are
    encoded: changing the state does not change rows that were taken before.

    `known`: what is known of profiles that lie in the store, by number. It gets what is written. The row of a profile
    that is not in it is written whole.
    """
    changes = state.changes
    touched = sorted(changes.sections)
    write_section = _WRITE_SECTION_AND_VALUES if with_values else _WRITE_SECTION
    write_parts = _WRITE_PARTS_AND_VALUES if with_values else _WRITE_PARTS
    often: list[Profile] = []
    whole: list[Profile] = []
    for pid in touched:
        if pid not in changes.created:
            profile, one = state.profiles[pid], known.get(pid)
            if one is None:
                whole.append(profile)
                continue
            now = seldom(profile)
            if one.seldom == now:
                often.append(profile)
            else:
                whole.append(profile)
                one.seldom = now
    yield _TOUCH_PROFILES, list(map(_touched, often))
    yield _UPDATE_PROFILES, list(map(_whole, whole))
    changed = _changed_sections(state, touched)
    for section, write in write_section.items():
        rows = [(profile.pid, _document(getattr(profile, SECTION_NAMES[section]))) for profile in changed[section]]
        if section == CUSTOM:
            for profile, (pid, doc) in zip(changed[section], rows, strict=True):
                if pid in known:
                    known[pid].inside = values_inside(doc, len(profile.custom or ()))
        yield write, rows
    yield (
        write_parts,
        [
            (profile.pid, part, _document(getattr(profile, SECTION_NAMES[part])))
            for part in PARTS
            for profile in changed[part]
        ],
    )
    yield _INSERT_PROFILES, [_whole(state.profiles[pid]) for pid in sorted(changes.created)]
    yield _INSERT_IDENTIFIERS, _INSERT_IDENTIFIERS.rows(_identifier_rows(changes))
    yield _WRITE_ADDRESSES, _WRITE_ADDRESSES.rows(_address_rows(changes))
    yield _COUNT_NAMES, _COUNT_NAMES.rows(_count_rows(workspace_id, changes, made, names))
    yield _INSERT_OCCURRENCES, _occurrence_rows(workspace_id, changes, made, names)
    yield from series.writes(workspace_id, changes, made, names)
    yield from merges.writes(state)


_whole: Final[Callable[[Profile], Row]] = attrgetter(*ROW_FIELDS)
_touched: Final[Callable[[Profile], Row]] = attrgetter(*_TOUCH_PROFILES.names)


def _changed_sections(state: State, pids: Iterable[int]) -> dict[int, list[Profile]]:
    """The profiles of which each section was changed, in the order of their numbers."""
    found: dict[int, list[Profile]] = {section: [] for section in SECTION_NAMES}
    changed, profiles = state.changes.sections, state.profiles
    for pid in pids:
        for section, _, _ in places(changed[pid]):
            found[section].append(profiles[pid])
    return found


def _document(content: Any) -> bytes:
    return content.document() if content.__class__ is Summaries else encoded(content)


def delete(connection: Connection, workspace_id: int, changes: Changes, *, has_values: bool) -> None:
    """What is gone goes before anything is written: a unique identifier may have moved to another profile."""
    if changes.removed:
        gone = [{"workspace_id": workspace_id, "pid": pid} for pid in sorted(changes.removed)]
        for statement in (*_DELETE_PROFILE, _DELETE_VALUES) if has_values else _DELETE_PROFILE:
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
    if changes.identifiers_dropped:
        connection.execute(
            _DELETE_IDENTIFIER,
            [
                {"workspace_id": workspace_id, "kind": kind, "label": label, "value": value, "pid": pid}
                for (kind, label, value), pid in sorted(changes.identifiers_dropped)
            ],
        )


def _identifier_rows(changes: Changes) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "label": label, "value": value, "pid": pid}
        for (kind, label, value), pid in sorted(changes.identifiers_added)
    ]


def _address_rows(changes: Changes) -> list[dict[str, Any]]:
    return [
        {
            "channel": channel,
            "address": address,
            "group_id": group_id,
            "state": consent.state,
            "changed_us": consent.changed_us,
            "forget_us": consent.forget_us,
        }
        for (channel, address, group_id), consent in sorted(changes.addresses.items())
        if consent is not None
    ]


def _count_rows(workspace_id: int, changes: Changes, made: NameCache, cache: NameCache) -> list[dict[str, Any]]:
    rows, unlisted = [], 0
    for (kind, name, type_), count in sorted(changes.written.items()):
        if number_of(workspace_id, kind, name, made, cache) is None:
            unlisted += count
        else:
            rows.append({"kind": kind, "name": name, "type": type_, "count": count})
    changes.unlisted = unlisted
    return rows


def _occurrence_rows(workspace_id: int, changes: Changes, made: NameCache, cache: NameCache) -> list[Row]:
    return [
        (
            occurrence.time_us // DAY,
            occurrence.stream,
            occurrence.seq,
            occurrence.ordinal,
            occurrence.pid,
            number,
            occurrence.time_us,
            occurrence.app_id,
            occurrence.properties,
            occurrence.quantity,
            occurrence.cents,
        )
        for occurrence in changes.occurrences
        if (number := number_of(workspace_id, occurrence.name_kind, occurrence.name, made, cache)) is not None
    ]
