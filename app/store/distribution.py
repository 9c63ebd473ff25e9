"""The tables on several nodes of PostgreSQL, with the extension Citus: each workspace lies on one of them.

A table goes by its `workspace_id` where every key of it begins with, or has, that column, so that a node can see by
itself that a key is unique. All such tables are split alike: what belongs to a workspace lies together, and a statement
about one workspace runs on one node. The other tables are small, and stay on the coordinator: whoever writes to them
needs no node.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sqlalchemy import Connection, Table, text
from sqlmodel import SQLModel

from app.store.tables import InboxHead
from app.store.tables.columns import STAYS

#: By what the tables of workspaces are split.
COLUMN: Final = "workspace_id"
#: The table that the others lie beside.
FIRST: Final = str(InboxHead.__tablename__)
#: How long a node that is back may keep the rows of a commit that it did not hear the end of. Citus's own is a minute.
SETTLE_SECONDS: Final = 10
#: For statements that a node gets from another one. Sessions of ours have them (app.store.engine), those of nodes not.
PLANNER: Final = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
}

_VERSION: Final = text("select extversion from pg_extension where extname = 'citus'")
_NODES: Final = text(
    "select nodename, nodeport from pg_dist_node where noderole = 'primary' and isactive and shouldhaveshards"
    " order by nodename, nodeport"
)
#: Of each table that Citus knows: h = split by a column, n = not split, such as one with a copy on every node.
_KNOWN: Final = text(
    "select c.relname, c.relkind = 'r' and not c.relispartition as whole, p.partmethod,"
    " column_to_column_name(p.logicalrelid, p.partkey) as column"
    " from pg_dist_partition p join pg_class c on c.oid = p.logicalrelid"
    " where c.relnamespace = to_regnamespace(current_schema())"
)
_PRESENT: Final = text("select relname from pg_class where relnamespace = to_regnamespace(current_schema())")
_ON_NODES: Final = text("select nodename, nodeport, success, result from run_command_on_workers(:command)")
#: How often the coordinator settles commits that a crash of a node left in doubt, in milliseconds; -1 = never.
_SETTLES: Final = text("select setting::bigint from pg_settings where name = 'citus.recover_2pc_interval'")
_DATABASE: Final = text(
    "select datname, pg_has_role(current_user, datdba, 'usage') from pg_database where datname = current_database()"
)


class Kind(Enum):
    """Where the rows of a table lie."""

    #: Those of a workspace on one node.
    DISTRIBUTED = "distributed"
    #: All of them where connections lead.
    COORDINATOR = "coordinator"


class NoCitusError(Exception):
    """The database has no extension that distributes tables."""


class OtherwiseError(Exception):
    """A table is distributed already, and not as it has to be. Its text names the table."""


@dataclass(frozen=True, slots=True)
class Step:
    """A table that is to be distributed, or brought back."""

    table: str
    kind: Kind

    @property
    def statements(self) -> tuple[str, ...]:
        """What distributes it, and then removes the copy of its rows that the coordinator would keep for itself."""
        if self.kind is Kind.COORDINATOR:
            return (f"select undistribute_table('{self.table}')",)
        beside = "none" if self.table == FIRST else FIRST
        return (
            f"select create_distributed_table('{self.table}', '{COLUMN}', colocate_with => '{beside}')",
            f"select truncate_local_data_after_distributing_table('{self.table}')",
        )


def kind(table: Table) -> Kind:
    """Where the rows of a table of the schema belong: by its keys, so that it holds of tables that are still to come,
    unless the table itself says that it stays."""
    if table.info.get(STAYS):
        return Kind.COORDINATOR
    keys = [{column.name for column in table.primary_key}]
    keys += [{column.name for column in index.columns} for index in table.indexes if index.unique]
    return Kind.DISTRIBUTED if all(COLUMN in key for key in keys) else Kind.COORDINATOR


def version(connection: Connection) -> str | None:
    """Of the extension in this database; None = there is none, as on SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    found = connection.execute(_VERSION).scalar()
    return None if found is None else str(found)


def is_split(connection: Connection, table: str) -> bool:
    """Whether a table lies on nodes, or its partitions do, as of now."""
    if version(connection) is None:
        return False
    return table in {row.relname for row in connection.execute(_KNOWN) if row.partmethod == "h"}


def nodes(connection: Connection) -> list[str]:
    """Those that hold rows, as `host:port`. Empty: Citus will put all rows where this connection leads."""
    return [f"{row.nodename}:{row.nodeport}" for row in connection.execute(_NODES)]


def missing(connection: Connection) -> list[Step]:
    """What is still to be distributed, in order. Raises NoCitusError and OtherwiseError."""
    if version(connection) is None:
        raise NoCitusError
    known = {row.relname: row for row in connection.execute(_KNOWN)}
    present = set(connection.execute(_PRESENT).scalars())
    steps = []
    for table in tables():
        wanted = kind(table)
        row = known.get(table.name)
        if row is not None and not _is(wanted, row.partmethod, row.column):
            raise OtherwiseError(table.name)
        if table.name in present and (row is None) == (wanted is Kind.DISTRIBUTED):
            steps.append(Step(table.name, wanted))
    return steps


def distribute(connection: Connection, steps: Sequence[Step]) -> Iterator[Step]:
    """Take the steps, each told before it is taken. Part of a transaction, so all or none of them.

    Raises what the database raises.
    """
    # Tables of many partitions have more shards than a node has connections.
    connection.exec_driver_sql("set local citus.multi_shard_modify_mode = 'sequential'")
    connection.exec_driver_sql("set local client_min_messages = warning")
    for step in steps:
        yield step
        for statement in step.statements:
            connection.exec_driver_sql(statement)


def complete(connection: Connection) -> None:
    """After a migration: new tables go where the others are, if these are distributed. Part of its transaction."""
    if not is_split(connection, FIRST):
        return
    for _ in distribute(connection, missing(connection)):
        pass


def instruct(connection: Connection) -> bool:
    """Give the sessions of nodes the planner settings that ours have; Citus tells the nodes. Part of a transaction.

    False: only the owner of the database may.
    """
    quote = connection.dialect.identifier_preparer.quote_identifier
    name, may = connection.execute(_DATABASE).one()
    if may:
        for setting, value in PLANNER.items():
            connection.exec_driver_sql(f"alter database {quote(name)} set {setting} = {value}")
    return bool(may)


def whole(connection: Connection) -> list[str]:
    """Tables that are distributed and have no partitions."""
    return [row.relname for row in connection.execute(_KNOWN) if row.partmethod == "h" and row.whole]


def loose(connection: Connection) -> list[str]:
    """Nodes that answer for commits which are not on their disk, as `host:port`. Sessions cannot raise it there."""
    rows = connection.execute(_ON_NODES, {"command": "show synchronous_commit"})
    return [f"{row.nodename}:{row.nodeport}" for row in rows if row.success and row.result in ("off", "local")]


def unsettled(connection: Connection) -> str:
    """How long commits in doubt hold up their workspace once its node is back, where that is too long; else empty.

    A commit with new rows has two phases for Citus, also on one node. A node that dies between them has their locks
    again when it is back, until the coordinator settles what is in doubt.
    """
    settles_ms = connection.execute(_SETTLES).scalar()
    if settles_ms is None or 0 < settles_ms <= SETTLE_SECONDS * 1000:
        return ""
    return "for ever" if settles_ms <= 0 else f"for up to {settles_ms / 1000:g} s"


def tables() -> list[Table]:
    """Those of the schema, in the order in which they are distributed."""
    every = SQLModel.metadata.tables.values()
    return sorted(every, key=lambda table: (table.name != FIRST, kind(table).value, table.name))


def _is(wanted: Kind, method: str, column: str | None) -> bool:
    """Whether a table that Citus knows is as it has to be, or can be brought back."""
    return (method, column) == ("h", COLUMN) if wanted is Kind.DISTRIBUTED else method == "n"
