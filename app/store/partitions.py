"""Partitions of the tables that only grow, and ageing out: a dropped table on PostgreSQL, deleted rows on SQLite."""

from typing import Any, Final

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app.domain.commands import StreamKey
from app.domain.times import DAY, HOUR
from app.store import chunks, dead_letters, lane, statistics
from app.store.engine import Database
from app.store.inbox import messages
from app.store.tables import INBOX_TABLES

log = structlog.get_logger()

#: Days for which occurrences and problems are kept.
OCCURRENCE_DAYS: Final = 32
PROBLEM_DAYS: Final = 30
#: Whole days behind the present one for which idempotency keys are kept: at least 24 hours, at most 48.
IDEMPOTENCY_DAYS: Final = 1
#: What is partitioned.
TABLES: Final = frozenset(("inbox", "problem", "occurrence", "idempotency", "inbox_message"))
#: Partitions made ahead of time, in units of each table. Clocks that step do not outrun them.
_AHEAD: Final = {"inbox": 6, "problem": 2, "occurrence": 2, "idempotency": 1, "inbox_message": 1}
_UNIT_US: Final = {table: HOUR if table == "inbox" else DAY for table in _AHEAD}
_COLUMN: Final = {table: "hour" if table == "inbox" else "day" for table in _AHEAD}


def prepare(database: Database, now_us: int) -> None:
    """Make the partitions that will be needed soon. Nothing to do on SQLite.

    While a node is away none can be made: what finds no partition in its time lies in the default one.
    """
    if not database.is_postgresql or _is_node_away(database):
        return
    for table, ahead in _AHEAD.items():
        unit = now_us // _UNIT_US[table]
        first = unit - (OCCURRENCE_DAYS if table == "occurrence" else 0)
        with database.write() as connection:
            connection.exec_driver_sql("select pg_advisory_xact_lock(727004)")  # all processes do this when they start
            existing = numbers(connection, table)
            owner = _other_owner(connection, table)
            for number in range(first, unit + ahead + 1):
                if number not in existing:
                    _create(connection, table, number, owner)


def expire(database: Database, now_us: int, inbox_hours: int) -> dict[str, int]:
    """Drop what is over: {table: partitions dropped, rows deleted, or bodies forgotten}.

    A request that is not applied is never over.
    """
    limits = {
        "inbox": now_us // HOUR - inbox_hours,
        "problem": now_us // DAY - PROBLEM_DAYS,
        "occurrence": now_us // DAY - OCCURRENCE_DAYS,
        "idempotency": now_us // DAY - IDEMPOTENCY_DAYS,
        "inbox_message": now_us // DAY - messages.DAYS,
    }
    dropped: dict[str, int] = {}
    for table, limit in () if _is_node_away(database) else limits.items():
        number = (
            _expire_partitions(database, table, limit) if database.is_postgresql else _delete(database, table, limit)
        )
        if number:
            dropped[table] = number
    if forgotten := dead_letters.forget_bodies(database, now_us):
        dropped["dead"] = forgotten
    return dropped


def _is_node_away(database: Database) -> bool:
    """Asked before any table is locked: nobody should wait for that while a node does not answer."""
    away = database.look_for_nodes()
    if away:
        log.warning("partitions_wait", nodes=", ".join(away))
    return bool(away)


def numbers(connection: Connection, table: str) -> set[int]:
    rows = connection.execute(
        text(
            "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
            " where i.inhparent = cast(:table as regclass)"
        ),
        {"table": table},
    )
    names = [row[0].removeprefix(f"{table}_") for row in rows]
    return {int(name) for name in names if name.isdigit()}


def _other_owner(connection: Connection, table: str) -> str | None:
    """Whose the table is, quoted, where that is another role than the present one: partitions have to be its too."""
    return connection.execute(
        text(
            "select quote_ident(pg_get_userbyid(relowner)) from pg_class"
            " where oid = cast(:table as regclass) and pg_get_userbyid(relowner) <> current_user"
        ),
        {"table": table},
    ).scalar()


def _create(connection: Connection, table: str, number: int, owner: str | None) -> None:
    bounds = f"for values from ({number}) to ({number + 1})"
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"create table if not exists {table}_{number} partition of {table} {bounds}")
            statistics.forget_in_partition(connection, table, f"{table}_{number}")
            if owner is not None:
                connection.exec_driver_sql(f"alter table {table}_{number} owner to {owner}")
    except IntegrityError:
        # The default partition already holds rows of this range: they stay there until they age out.
        log.warning("partition_late", table=table, number=number)


def _expire_partitions(database: Database, table: str, limit: int) -> int:
    """A transaction for each: dropping one locks the table, and with it whoever reads or writes it."""
    with database.read() as connection:
        over = [number for number in sorted(numbers(connection, table)) if number < limit]
    dropped = 0
    for number in over:
        with database.write() as connection:
            connection.exec_driver_sql("set local lock_timeout = '2s'")
            if table == "inbox" and needed(connection, f"{table}_{number}"):
                continue
            connection.exec_driver_sql(f"drop table {table}_{number}")
            dropped += 1
    _expire_default(database, table, limit)
    return dropped


def _expire_default(database: Database, table: str, limit: int) -> None:
    """What found no partition in its time, after a long stop for instance, lies in the default one.

    A workspace at a time: on several nodes each has rows at the same places as the others.
    """
    late = f"d.{_COLUMN[table]} < {limit}"
    with database.read() as connection:
        found = connection.exec_driver_sql(f"select distinct d.workspace_id from {table}_default d where {late}")
        workspace_ids = sorted(found.scalars())
    if table == "inbox":
        late += (
            " and not exists (select 1 from lane l where l.workspace_id = :workspace_id"
            " and d.seq > case d.stream when 0 then l.cursor_normal else l.cursor_bulk end)"
        )
    delete = text(
        f"delete from {table}_default where workspace_id = :workspace_id and ctid = any(array("
        f"select d.ctid from {table}_default d where d.workspace_id = :workspace_id and {late} limit {chunks.CHUNK}))"
    )
    for workspace_id in workspace_ids:

        def part(workspace_id: int = workspace_id) -> int:
            with database.write() as connection:
                return connection.execute(delete, {"workspace_id": workspace_id}).rowcount

        chunks.repeat(part)


_CURSORS: Final = (
    "(select l.workspace_id, s.stream, case s.stream when 0 then l.cursor_normal else l.cursor_bulk end as cursor"
    " from lane l cross join (values (0), (1)) s(stream)) c"
)


def needed(connection: Connection, partition: str) -> bool:
    """Whether any request in it is still to be applied: one look into its index for each stream, whatever its size."""
    found = connection.exec_driver_sql(
        f"select exists (select 1 from {_CURSORS} where exists (select 1 from {partition} p"
        " where p.workspace_id = c.workspace_id and p.stream = c.stream and p.seq > c.cursor))"
    ).scalar()
    return bool(found)


def _delete(database: Database, table: str, limit: int) -> int:
    engine = database.inbox if table in INBOX_TABLES else database.main
    if table != "inbox":
        return chunks.delete_sqlite(database, engine, table, "day < :limit", {"limit": limit})
    cursors = durable_cursors(database)

    def is_queued(row: Any) -> bool:
        return bool(row.seq > cursors.get(StreamKey(row.workspace_id, row.stream), 0))

    columns = "workspace_id, stream, seq, length(body) as size"
    return chunks.delete_sqlite(
        database, engine, table, "hour < :limit", {"limit": limit}, select=columns, spares=is_queued
    )


def durable_cursors(database: Database) -> dict[StreamKey, int]:
    """Cursors that no power cut takes back, on SQLite. Requests must not go before their cursor is on the disk."""
    with database.read() as connection:
        cursors = lane.cursors(connection)
    # They were committed without waiting for the disk.
    plain = database.main.raw_connection()
    try:
        plain.cursor().execute("pragma wal_checkpoint(full)")  # outside of any transaction
    finally:
        plain.close()
    return cursors
