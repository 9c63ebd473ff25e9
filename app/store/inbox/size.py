"""Keeping the inbox within a size: the oldest applied requests go first, those that are not applied never do."""

import time
from typing import Final

from sqlalchemy import Connection, bindparam, text

from app.domain.commands import StreamKey
from app.domain.times import HOUR
from app.store import lane
from app.store.chunks import fitting
from app.store.engine import Database
from app.store.partitions import durable_cursors, needed, numbers
from app.store.pooler import is_distributed

#: Rows that one transaction deletes; on SQLite it holds up accepting meanwhile.
CHUNK: Final = 2_000
#: A call deletes for at most about this long.
SECONDS: Final = 15.0

_OLDEST: Final = text(
    "select rowid, workspace_id, stream, seq, length(body) as size from inbox where rowid > :after"
    " order by rowid limit :n"
)
_RANGE: Final = (
    "select min(seq) as first, max(seq) as last from %s where workspace_id = :w and stream = :s and seq <= :cursor"
)
#: Bytes of a partition.
_HERE: Final = "pg_total_relation_size(inhrelid)"
_DELETE: Final = text("delete from inbox where rowid in :rows").bindparams(bindparam("rows", expanding=True))


def size(database: Database) -> int:
    """Bytes that the inbox takes on the disk; on SQLite without the free pages, which the next requests fill."""
    with database.read(database.inbox) as connection:
        if not database.is_postgresql:
            pages = connection.exec_driver_sql("pragma page_count").scalar_one()
            free = connection.exec_driver_sql("pragma freelist_count").scalar_one()
            return int((pages - free) * connection.exec_driver_sql("pragma page_size").scalar_one())
        return _size(connection)


def shrink(database: Database, now_us: int, most: int, chunk: int = CHUNK) -> dict[str, int]:
    """Drop applied requests until the inbox has at most `most` bytes, if that is possible: what was dropped.

    On PostgreSQL partitions of past hours are dropped whole. Of the present hour the older half of what is applied is
    deleted, whose space the next requests fill; the table does not become smaller before its hour is over. So the inbox
    may exceed `most` by what one hour brings, less what is deleted of it each time.
    """
    if size(database) <= most:
        return {}
    found = (
        _shrink_postgresql(database, now_us, most, chunk)
        if database.is_postgresql
        else _shrink_sqlite(database, most, chunk)
    )
    return {name: number for name, number in found.items() if number}


def _size(connection: Connection) -> int:
    # Of several nodes, those that answer.
    each = "citus_total_relation_size(inhrelid, false)" if is_distributed(connection) else _HERE
    return int(
        connection.exec_driver_sql(
            f"select coalesce(sum({each}), 0) from pg_inherits where inhparent = 'inbox'::regclass"
        ).scalar_one()
    )


def _shrink_postgresql(database: Database, now_us: int, most: int, chunk: int) -> dict[str, int]:
    dropped = deleted = 0
    present, until = now_us // HOUR, time.monotonic() + SECONDS
    with database.read() as connection:
        partitions = [number for number in sorted(numbers(connection, "inbox")) if number <= present]
    for number in [*partitions, None]:
        table = "inbox_default" if number is None else f"inbox_{number}"
        with database.write() as connection:
            if _size(connection) <= most:
                break
            connection.exec_driver_sql("set local lock_timeout = '2s'")
            if number is not None and number < present and not needed(connection, table):
                connection.exec_driver_sql(f"drop table {table}")
                dropped += 1
                continue
        gone = _delete_older_half(database, table, until, chunk)
        if gone:
            deleted += gone
            database.vacuum(table)
    return {"partitions": dropped, "requests": deleted}


def _delete_older_half(database: Database, table: str, until: float, chunk: int) -> int:
    """Of each stream the older half of what is applied, in short transactions, until a time of the monotonic clock."""
    with database.read() as connection:
        cursors = lane.cursors(connection)
        ranges = [
            (*place, row.first, (row.first + row.last) // 2)
            for place, cursor in cursors.items()
            if (row := connection.execute(text(_RANGE % table), _range(place, cursor)).one()).first is not None
        ]
    deleted = 0
    for workspace_id, stream, first, last in ranges:
        for start in range(first, last + 1, chunk):
            if time.monotonic() > until:
                return deleted
            with database.write() as connection:
                deleted += connection.execute(
                    text(f"delete from {table} where workspace_id = :w and stream = :s and seq between :a and :b"),
                    {"w": workspace_id, "s": stream, "a": start, "b": min(start + chunk - 1, last)},
                ).rowcount
    return deleted


def _range(key: StreamKey, cursor: int) -> dict[str, int]:
    return {"w": key.workspace_id, "s": key.stream, "cursor": cursor}


def _shrink_sqlite(database: Database, most: int, chunk: int) -> dict[str, int]:
    cursors = durable_cursors(database)
    deleted = after = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and size(database) > most:
        with database.write(database.inbox) as connection:
            rows = fitting(connection.execute(_OLDEST, {"after": after, "n": chunk}).all())
            if not rows:
                break
            after = rows[-1].rowid
            over = [row.rowid for row in rows if row.seq <= cursors.get(StreamKey(row.workspace_id, row.stream), 0)]
            if over:
                deleted += connection.execute(_DELETE, {"rows": over}).rowcount
    return {"requests": deleted}
