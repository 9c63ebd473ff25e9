"""Deleting a workspace with all that it has, in many short transactions, beside everybody else's work.

A row in `workspace_deletion` begins it. The workspace then has no counter rows, so that nothing is accepted, and its
keys are refused. A worker empties every table that has a `workspace_id`, whatever tables there will be. Somebody may
still have been writing: whoever had looked a key up, or works on a job. So once everything is gone, and the longest of
these has ended, all tables are looked through once more. A crash at any point loses nothing but time.

What stays is the row itself, two times and a number, which no other workspace will get.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, Table, Text, TextClause, bindparam, text
from sqlmodel import SQLModel

from app.domain.times import SECOND
from app.store import chunks, partitions
from app.store.engine import Database
from app.store.tables import INBOX_TABLES, ProfileValue

#: Between the two looks through all tables. What reads a key lives for seconds, a statement of a job for a minute.
GRACE_US: Final = 180 * SECOND
#: First what lets others write, so that little comes after; then everything else; last what a caller is known by.
_FIRST: Final = ("inbox_head", "lane", "job", "job_part")
_LAST: Final = ("api_key",)
_KEPT: Final = ("workspace_deletion",)

_BEGIN: Final = text(
    "insert into workspace_deletion (workspace_id, us) values (:workspace_id, :us) on conflict do nothing"
)
_CLOSE: Final = text("delete from inbox_head where workspace_id = :workspace_id")
_RENAME: Final = text("update workspace set name = :name where id = :workspace_id and name <> :name")
_REMOVE: Final = text("delete from workspace where id = :workspace_id")
_EMPTIED: Final = text(
    "update workspace_deletion set emptied_us = :us where workspace_id = :workspace_id and emptied_us is null"
)
_FINISHED: Final = text("update workspace_deletion set finished_us = :us where workspace_id = :workspace_id")
_UNFINISHED: Final = text(
    "select workspace_id, us, emptied_us, finished_us from workspace_deletion where finished_us is null"
    " /*here workspace_id*/ order by us"
)
_ALL: Final = text("select workspace_id, us, emptied_us, finished_us from workspace_deletion order by us, workspace_id")
_BEGUN: Final = text("select workspace_id from workspace_deletion where workspace_id in :workspace_ids").bindparams(
    bindparam("workspace_ids", expanding=True)
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """A workspace that was deleted: when it was asked for, when all was gone, and when that was seen for good."""

    workspace_id: int
    us: int
    emptied_us: int | None
    finished_us: int | None


def begin(database: Database, workspace_id: int, now_us: int) -> None:
    """Close a workspace for good: nothing is accepted from here on. Harmless when it was begun before."""
    values = {"workspace_id": workspace_id, "us": now_us}
    with database.write() as connection:
        connection.execute(_BEGIN, values)
        if database.is_postgresql:
            close(connection, workspace_id)
    if not database.is_postgresql:
        with database.write(database.inbox) as connection:
            close(connection, workspace_id)


def close(inbox: Connection, workspace_id: int) -> None:
    """See that nothing of a workspace is accepted any more. Part of a transaction where the inbox is."""
    inbox.execute(_CLOSE, {"workspace_id": workspace_id})


def name_of_deleted(workspace_id: int) -> str:
    """What a workspace is called while it is being deleted, so that another one may have its name."""
    return f"onefold deleted {workspace_id}"


def unfinished(connection: Connection) -> list[Deletion]:
    """Deletions with work to do, the oldest first."""
    return [Deletion(*row) for row in connection.execute(_UNFINISHED)]


def listed(connection: Connection) -> list[Deletion]:
    """All of them, the oldest first."""
    return [Deletion(*row) for row in connection.execute(_ALL)]


def begun(connection: Connection, workspace_ids: Iterable[int]) -> set[int]:
    """Which of them are deleted, or are being deleted.

    For whoever keeps rows in memory before they are written: that may take longer than GRACE_US.
    """
    return set(connection.execute(_BEGUN, {"workspace_ids": sorted(set(workspace_ids))}).scalars())


def work(database: Database, deletion: Deletion, now_us: int) -> tuple[int, bool]:
    """Delete for about chunks.SECONDS at most: (rows, whether there is nothing more to do now).

    Raises what the database raises; calling it again goes on.
    """
    if deletion.emptied_us is not None and now_us < deletion.emptied_us + GRACE_US:
        return 0, True
    values = {"workspace_id": deletion.workspace_id}
    with database.write() as connection:
        # The name is free at once, and no other can be like it.
        connection.execute(_RENAME, {**values, "name": name_of_deleted(deletion.workspace_id)})
    rows, ends = 0, time.monotonic() + chunks.SECONDS
    for table in _tables():
        while deleted := _delete(database, table, values):
            rows += deleted
            if time.monotonic() > ends:
                return rows, False
    with database.write() as connection:
        connection.execute(_REMOVE, values)
        connection.execute(_EMPTIED, {**values, "us": now_us})
        if deletion.emptied_us is not None:
            connection.execute(_FINISHED, {**values, "us": now_us})
    for engine in (database.main, database.inbox):
        database.checkpoint(engine)
    return rows, True


def _tables() -> list[Table]:
    """Everything that belongs to workspaces."""
    found = [each for each in SQLModel.metadata.sorted_tables if "workspace_id" in each.c and each.name not in _KEPT]
    order = {name: n - len(_FIRST) for n, name in enumerate(_FIRST)} | dict.fromkeys(_LAST, 1)
    return sorted(found, key=lambda table: (order.get(table.name, 0), table.name))


def _delete(database: Database, table: Table, values: dict[str, Any]) -> int:
    """Rows of a workspace, some at a time; 0 when there are none left."""
    if database.is_postgresql and table.name == ProfileValue.__tablename__:
        return _delete_values(database, values)
    if database.is_postgresql:
        return sum(_delete_postgresql(database, name, values) for name in _physical(database, table.name))
    engine = database.inbox if table.name in INBOX_TABLES else database.main
    size = " + ".join(f"coalesce(length({column}), 0)" for column in _large(table)) or "0"
    return chunks.delete_sqlite(
        database, engine, table.name, "workspace_id = :workspace_id", values, select=f"{size} as size"
    )


def _large(table: Table) -> list[str]:
    """Columns whose values may be long."""
    return [column.name for column in table.c if isinstance(column.type, (Text, LargeBinary)) or _is_document(column)]


def _is_document(column: Any) -> bool:
    return column.type.python_type in (dict, list)


def _physical(database: Database, table: str) -> list[str]:
    """The table, or its partitions: only within one of these does a row have a place by which it can be deleted."""
    if table not in partitions.TABLES:
        return [table]
    with database.read() as connection:
        return [f"{table}_{number}" for number in sorted(partitions.numbers(connection, table))] + [f"{table}_default"]


def _delete_postgresql(database: Database, table: str, values: dict[str, Any]) -> int:
    delete = text(
        f"delete from {table} where workspace_id = :workspace_id and ctid = any(array(select ctid from {table}"
        f" where workspace_id = :workspace_id limit {chunks.CHUNK}))"
    )

    return _repeat(database, delete, values)


def _delete_values(database: Database, values: dict[str, Any]) -> int:
    """As `_delete_postgresql`: partitions that are not the worker's own are reached through their table, by key."""
    keys = "workspace_id, pid, part"
    some = f"select {keys} from profile_value where workspace_id = :workspace_id limit {chunks.CHUNK}"
    return _repeat(
        database, text(f"delete from profile_value where workspace_id = :workspace_id and ({keys}) in ({some})"), values
    )


def _repeat(database: Database, delete: TextClause, values: dict[str, Any]) -> int:
    def part() -> int:
        with database.write() as connection:
            return connection.execute(delete, values).rowcount

    return chunks.repeat(part)
