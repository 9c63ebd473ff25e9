"""What PostgreSQL's planner may know of tables: not how many rows a workspace has.

Statistics are of some time ago. By those of before, a workspace that is new has no rows. Then any index that begins
with the number of the workspace looks as good as the one that leads to a row at once, and for each of 20,000 people
all 20,000 are read. So none are kept of these numbers, and each workspace counts as the two-hundredth part of a table
as large as it is now.
"""

from typing import Final

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app.store import distribution
from app.store.engine import Database, is_locked

log = structlog.get_logger()

#: How long others may be in the way, who wait behind us meanwhile.
_LOCK_MS: Final = 1_000
#: Tables of which statistics are kept or would be, a partition's by its whole table.
_KEPT: Final = text(
    """
    select case when c.relispartition then pg_partition_root(c.oid) else c.oid end::regclass::text as name
        , format_type(a.atttypid, a.atttypmod) as type
        , bool_or(s.tablename is not null) as known
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    left join pg_stats s on s.schemaname = current_schema() and s.tablename = c.relname and s.attname = a.attname
    where a.attname = :column and not a.attisdropped
      and c.relnamespace = to_regnamespace(current_schema()) and c.relkind in ('r', 'p')
      and (coalesce(a.attstattarget, -1) <> 0 or s.tablename is not null)
    group by 1, 2 order by 1
    """
)
_NONE: Final = f"alter column {distribution.COLUMN} set statistics 0"


def forget_workspaces(database: Database) -> None:
    """Keep none, and drop those that are there, in PostgreSQL. Harmless to repeat.

    Others may be at work. A table that is in use for too long is left for the next time. Of tables on several nodes:
    `forget_on_nodes`.
    """
    with database.read() as connection:
        if distribution.is_split(connection, distribution.FIRST):
            return
        kept = connection.execute(_KEPT, {"column": distribution.COLUMN}).all()
    for name, type_, known in kept:
        # A column that gets a type loses what is known of it. Getting the one that it has rewrites nothing, but nobody
        # may be reading. So each table is a transaction, and nobody waits in a circle.
        forget = f", alter column {distribution.COLUMN} type {type_}" if known else ""
        try:
            with database.write(lock_ms=_LOCK_MS) as connection:
                connection.exec_driver_sql(f"alter table {name} {_NONE}{forget}")
        except OperationalError as error:
            if not is_locked(error):
                raise
            log.warning("statistics_wait", table=name)


def forget_in_partition(connection: Connection, table: str, name: str) -> None:
    """The same of a partition that was made just now: it does not take it over from its table."""
    if not distribution.is_split(connection, table):
        connection.exec_driver_sql(f"alter table {name} {_NONE}")


def forget_on_nodes(connection: Connection, tables: list[str]) -> None:
    """The same where Citus holds tables, on each node. A statement by itself: it is in no transaction of ours."""
    for table in tables:
        connection.execute(
            text("select 1 from run_command_on_shards(:table, :command)"),
            {"table": table, "command": f"alter table %s {_NONE}"},
        )
