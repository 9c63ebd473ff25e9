"""Records of merges, the history of profiles, and deletions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, text

from app.domain.history import Happening, Origin
from app.domain.identifiers import ChannelAddress, addresses_merged, names_merged
from app.domain.merging.plan import MergePlan, MergeRecord
from app.domain.profile import SECTION_NAMES, Profile
from app.domain.state import State
from app.store import tables
from app.store.bulk import EACH_POSTGRESQL, EACH_SQLITE, BulkWrite, Rows, encode
from app.store.chunks import repeat
from app.store.engine import Database

_WRITE_RECORDS = BulkWrite(
    tables.MergeRecordRow,
    update=("previous", "kept_updated_us", "kept_updated_index", "plan", "snapshot", "undone", "unseparated"),
)
_INSERT_HISTORY = BulkWrite(tables.HistoryRow)
_INSERT_DELETIONS = BulkWrite(tables.Deletion)

#: Bytes of plans in one page of merges; of those a page has at least one.
MAX_PAGE_BYTES: Final = 4 * 1024 * 1024

_COLUMNS: Final = (
    "id, kept_pid, merged_pid, kept_braze_id, merged_braze_id, merged_created_us, stream, seq, ordinal, us, key_name,"
    " previous, kept_updated_us, kept_updated_index, expires_us, plan, snapshot, undone, unseparated"
)
_BY_ID = text(f"select {_COLUMNS} from merge_record where workspace_id = :workspace_id and id in :ids").bindparams(
    bindparam("ids", expanding=True)
)
_SIZES = text(
    "select id, coalesce(length(plan), 0) + coalesce(length(snapshot), 0) from merge_record"
    " where workspace_id = :workspace_id and id in :ids"
).bindparams(bindparam("ids", expanding=True))
_PLACES = text(
    "select id, kept_pid from merge_record where workspace_id = :workspace_id and id in :ids and undone is null"
).bindparams(bindparam("ids", expanding=True))
#: Merges of profiles and of all that was merged into them, newest first. `size` is that of the plans before.
_OF_FAMILY: Final = f"""
    with recursive family(pid) as (
        select cast(value as bigint) from {{each}}
        union
        select r.merged_pid from family f
        join merge_record r on r.workspace_id = :workspace_id and r.kept_pid = f.pid and r.undone is null
    ), page as (
        select {_COLUMNS.replace("snapshot", "null as snapshot")} from merge_record r
        where r.workspace_id = :workspace_id
            and (r.kept_pid in (select pid from family) or r.merged_pid in (select pid from family)) {{behind}}
        order by r.us desc, r.ordinal desc, r.id desc limit :limit offset :skip
    ), sized as (
        select page.*, count(*) over () as many, coalesce(sum({{size}}) over (
            order by us desc, ordinal desc, id desc rows between unbounded preceding and 1 preceding
        ), 0) as size from page
    )
    select * from sized where size < :most_bytes order by us desc, ordinal desc, id desc
    """
_BEHIND: Final = "and (r.us, r.ordinal, r.id) < (:us, :ordinal, :id)"
#: {(PostgreSQL?, behind a place?): statement}. PostgreSQL knows the length of a text without reading it.
_OF_FAMILY_STATEMENTS: Final = {
    (is_postgresql, later): text(
        _OF_FAMILY.format(
            each=EACH_POSTGRESQL if is_postgresql else EACH_SQLITE,
            size="octet_length(plan)" if is_postgresql else "length(cast(plan as blob))",
            behind=_BEHIND if later else "",
        )
    )
    for is_postgresql in (True, False)
    for later in (True, False)
}
_MERGED_AWAY = text(
    f"select {_COLUMNS.replace('snapshot', 'null as snapshot')} from merge_record"
    " where workspace_id = :workspace_id and merged_braze_id = :braze_id order by us desc limit 1"
)
_HISTORY: Final = (
    "select what, stream, seq, ordinal, us, key_name, other, merge_id from history"
    " where workspace_id = :workspace_id and pid = :pid{behind} order by us, ordinal, what limit :limit"
)
_HISTORY_FIRST = text(_HISTORY.format(behind=""))
_HISTORY_BEHIND = text(_HISTORY.format(behind=" and (us, ordinal, what) > (:us, :ordinal, :what)"))
_DELETION = text(
    "select stream, seq, ordinal, us, key_name from deletion"
    " where workspace_id = :workspace_id and erased_id = :erased_id"
)
_MERGED: Final = (
    f"select {', '.join('r.' + name for name in _COLUMNS.split(', '))} from {{each}}"
    " join merge_record r on r.workspace_id = :workspace_id and r.merged_pid = cast(each.value as bigint)"
)
_MERGED_POSTGRESQL = text(_MERGED.format(each=EACH_POSTGRESQL))
_MERGED_SQLITE = text(_MERGED.format(each=EACH_SQLITE))
#: Merges of those who were merged into profiles, each with the profile that they are in now.
_BELOW: Final = f"""
    with recursive below(root, pid) as (
        select l.parent_pid, l.member_pid from {{each}}
        join lineage l on l.workspace_id = :workspace_id and l.parent_pid = cast(each.value as bigint)
        union
        select b.root, l.member_pid from below b
        join lineage l on l.workspace_id = :workspace_id and l.parent_pid = b.pid
    )
    select b.root, {", ".join("r." + name for name in _COLUMNS.split(", "))} from below b
    join merge_record r on r.workspace_id = :workspace_id and r.merged_pid = b.pid
"""
_BELOW_POSTGRESQL = text(_BELOW.format(each=EACH_POSTGRESQL))
_BELOW_SQLITE = text(_BELOW.format(each=EACH_SQLITE))
#: Statements for one deleted person. The other profile of a merge loses its lines about the person as well.
_ERASE: Final = [
    *(
        text(
            f"delete from history where workspace_id = :workspace_id"
            f" and pid in (select {other} from merge_record where workspace_id = :workspace_id and {one} = :pid)"
            f" and merge_id in (select id from merge_record where workspace_id = :workspace_id and {one} = :pid)"
        )
        for one, other in (("kept_pid", "merged_pid"), ("merged_pid", "kept_pid"))
    ),
    text("delete from history where workspace_id = :workspace_id and pid = :pid"),
    text("delete from merge_record where workspace_id = :workspace_id and kept_pid = :pid"),
    text("delete from merge_record where workspace_id = :workspace_id and merged_pid = :pid"),
]
#: Snapshots that one transaction drops: each is a profile.
_EXPIRED_AT_ONCE: Final = 64
_EXPIRE = text(
    "update merge_record set plan = null, snapshot = null where (workspace_id, id) in"
    " (select workspace_id, id from merge_record where plan is not null and expires_us < :us /*here workspace_id*/"
    " limit :chunk) /*here workspace_id*/"
)
_ALL_RECORDS = text(f"select {_COLUMNS} from merge_record where workspace_id = :workspace_id")
_ALL_HISTORY = text(
    "select pid, what, stream, seq, ordinal, us, key_name, other, merge_id from history"
    " where workspace_id = :workspace_id order by us, ordinal, what"
)
_ALL_DELETIONS = text(
    "select erased_id, stream, seq, ordinal, us, key_name from deletion where workspace_id = :workspace_id"
)


def writes(state: State) -> Iterator[Rows]:
    """Rows of records, history and deletions of a batch. `erase` has been called before they are written."""
    records = [state.records[merge_id] for merge_id in sorted(state.changes.records)]
    yield _WRITE_RECORDS, _WRITE_RECORDS.rows(_record_row(record) for record in records if record is not None)
    lines = [_history_row(pid, line) for pid, lines in sorted(state.changes.history.items()) for line in lines]
    yield _INSERT_HISTORY, _INSERT_HISTORY.rows(lines)
    deletions = [{"erased_id": erased_id, **_origin_row(origin)} for erased_id, origin in state.changes.deleted]
    yield _INSERT_DELETIONS, _INSERT_DELETIONS.rows(deletions)


def identifiers(connection: Connection, workspace_id: int, pids: Iterable[int]) -> set[str]:
    """Values of the identifiers of those profiles that were merged away, as far as their records still have them."""
    wanted, found = sorted(pids), set[str]()
    if wanted:
        statement = _MERGED_POSTGRESQL if connection.dialect.name == "postgresql" else _MERGED_SQLITE
        for row in connection.execute(statement, {"workspace_id": workspace_id, "pids": encode(wanted)}):
            found |= names_merged(_record(row))
    return found


def former_addresses(connection: Connection, workspace_id: int, pids: Iterable[int]) -> dict[int, set[ChannelAddress]]:
    """By number of a profile: addresses of those who were merged into it, as far as their records still have them."""
    found: dict[int, set[ChannelAddress]] = {}
    statement = _BELOW_POSTGRESQL if connection.dialect.name == "postgresql" else _BELOW_SQLITE
    wanted = sorted(pids)
    rows = connection.execute(statement, {"workspace_id": workspace_id, "pids": encode(wanted)}) if wanted else ()
    for row in rows:
        found.setdefault(row.root, set()).update(addresses_merged(_record(row)))
    return found


def erase(connection: Connection, workspace_id: int, pids: Iterable[int]) -> None:
    """Delete the records and the history of people, and what the records of others say of them."""
    gone = [{"workspace_id": workspace_id, "pid": pid} for pid in sorted(pids)]
    if gone:
        for statement in _ERASE:
            connection.execute(statement, gone)


def _record_row(record: MergeRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "kept_pid": record.kept_pid,
        "merged_pid": record.merged_pid,
        "kept_braze_id": record.kept_braze_id,
        "merged_braze_id": record.merged_braze_id,
        "merged_created_us": record.merged_created_us,
        **_origin_row(record.origin),
        "previous": record.previous,
        "kept_updated_us": record.kept_updated[0],
        "kept_updated_index": record.kept_updated[1],
        "expires_us": record.expires_us,
        "plan": _json(record.plan),
        "snapshot": _json(record.snapshot),
        "undone": _json(record.undone),
        "unseparated": _json(record.unseparated),
    }


def _json(value: object) -> str | None:
    return None if value is None else encode(value)


def _origin_row(origin: Origin) -> dict[str, Any]:
    return {
        "stream": origin.stream,
        "seq": origin.seq,
        "ordinal": origin.ordinal,
        "us": origin.us,
        "key_name": origin.key_name,
    }


def _history_row(pid: int, line: Happening) -> dict[str, Any]:
    return {
        "pid": pid,
        "what": line.what,
        **_origin_row(line.origin),
        "other": line.other,
        "merge_id": line.merge_id,
    }


def _record(row: Any) -> MergeRecord:
    return MergeRecord(
        row.id,
        row.kept_pid,
        row.merged_pid,
        row.kept_braze_id,
        row.merged_braze_id,
        row.merged_created_us,
        Origin(row.stream, row.seq, row.ordinal, row.us, row.key_name),
        row.previous,
        (row.kept_updated_us, row.kept_updated_index),
        row.expires_us,
        _parsed(row.plan, MergePlan),
        _snapshot(row.snapshot),
        _parsed(row.undone, Origin),
        _parsed(row.unseparated, list),
    )


def _snapshot(text_: str | None) -> Profile | None:
    """The merged profile with all its sections. One that did not exist when the snapshot was stored was empty."""
    profile: Profile | None = _parsed(text_, Profile)
    if profile is not None:
        for name in SECTION_NAMES.values():
            if getattr(profile, name) is None:
                setattr(profile, name, {})
    return profile


def _parsed(text_: str | None, kind: Any) -> Any:
    return None if text_ is None else msgspec.json.decode(text_, type=kind)


def sizes(connection: Connection, workspace_id: int, ids: Sequence[str]) -> dict[str, int]:
    """About the bytes of each record that exists."""
    rows = connection.execute(_SIZES, {"workspace_id": workspace_id, "ids": list(ids)})
    return {merge_id: size for merge_id, size in rows}  # noqa: C416 - rows are not pairs to a type checker


def places(connection: Connection, workspace_id: int, ids: Sequence[str]) -> dict[str, int]:
    """Into whom those merges were done that exist and were not undone: the number of the profile by id."""
    rows = connection.execute(_PLACES, {"workspace_id": workspace_id, "ids": list(ids)})
    return {merge_id: pid for merge_id, pid in rows}  # noqa: C416 - rows are not pairs to a type checker


def fetch(connection: Connection, workspace_id: int, ids: Sequence[str]) -> dict[str, MergeRecord | None]:
    """Whole records by id, with None for an id that has no record."""
    records: dict[str, MergeRecord | None] = dict.fromkeys(ids)
    if records:
        for row in connection.execute(_BY_ID, {"workspace_id": workspace_id, "ids": list(records)}):
            records[row.id] = _record(row)
    return records


def listed(
    connection: Connection,
    workspace_id: int,
    pids: Iterable[int],
    limit: int,
    *,
    skip: int = 0,
    behind: Sequence[int | str] | None = None,
) -> tuple[list[MergeRecord], bool]:
    """(merges of profiles and of all that was merged into them, newest first, without the snapshots; are there more).

    `behind` is the `place` of the last one of the page before. A page ends early when its plans are large.
    """
    statement = _OF_FAMILY_STATEMENTS[connection.dialect.name == "postgresql", behind is not None]
    values = {"workspace_id": workspace_id, "pids": encode(sorted(pids)), "limit": limit + 1, "skip": skip}
    values |= {"most_bytes": MAX_PAGE_BYTES} | dict(zip(("us", "ordinal", "id"), behind or (), strict=False))
    rows = connection.execute(statement, values).all()
    return [_record(row) for row in rows[:limit]], bool(rows) and rows[0].many > min(len(rows), limit)


def place(record: MergeRecord) -> list[int | str]:
    """Where a record stands in the list."""
    return [record.origin.us, record.origin.ordinal, record.id]


def merged_away(connection: Connection, workspace_id: int, braze_id: str) -> MergeRecord | None:
    """The last merge that took the profile with this id away, without the snapshot; it may have been undone."""
    row = connection.execute(_MERGED_AWAY, {"workspace_id": workspace_id, "braze_id": braze_id}).one_or_none()
    return None if row is None else _record(row)


def history(
    connection: Connection, workspace_id: int, pid: int, limit: int, behind: Sequence[int | str] | None = None
) -> list[Happening]:
    """What happened to a profile, oldest first: at most `limit` lines.

    `behind` is (us, ordinal, what) of the last line of the page before.
    """
    values: dict[str, int | str] = {"workspace_id": workspace_id, "pid": pid, "limit": limit}
    values |= dict(zip(("us", "ordinal", "what"), behind or (), strict=False))
    rows = connection.execute(_HISTORY_FIRST if behind is None else _HISTORY_BEHIND, values)
    return [_happening(row) for row in rows]


def _happening(row: Any) -> Happening:
    origin = Origin(row.stream, row.seq, row.ordinal, row.us, row.key_name)
    return Happening(row.what, origin, row.other, row.merge_id)


def deletion(connection: Connection, workspace_id: int, erased_id: str) -> Origin | None:
    """When and by which key a profile was deleted, None when it was not."""
    row = connection.execute(_DELETION, {"workspace_id": workspace_id, "erased_id": erased_id}).one_or_none()
    return None if row is None else Origin(*row)


def expire(database: Database, us: int) -> int:
    """Remove plans and snapshots from records that are too old to be undone. Returns how many."""

    def part() -> int:
        with database.write() as connection:
            return connection.execute(_EXPIRE, {"us": us, "chunk": _EXPIRED_AT_ONCE}).rowcount

    return repeat(part)


def everything(
    connection: Connection, workspace_id: int
) -> tuple[dict[str, MergeRecord], dict[int, list[Happening]], dict[str, Origin]]:
    """Records by id, history by pid, deletions by erased id, of the workspace. Not for large workspaces."""
    values = {"workspace_id": workspace_id}
    records = {row.id: _record(row) for row in connection.execute(_ALL_RECORDS, values)}
    lines: dict[int, list[Happening]] = {}
    for row in connection.execute(_ALL_HISTORY, values):
        lines.setdefault(row.pid, []).append(_happening(row))
    deletions = {erased_id: Origin(*origin) for erased_id, *origin in connection.execute(_ALL_DELETIONS, values)}
    return records, lines, deletions
