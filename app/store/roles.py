"""PostgreSQL roles: what the API's role may write, and what the worker's may. SQLite has none.

The owner of the schema migrates it and runs the command line. The API's role reads and accepts: it cannot touch a
profile. The worker's role writes what applying writes; the tables that only grow are its own, since only an owner makes
and drops partitions. The owner of the schema has to be a member of it, to migrate these tables.
"""

from typing import Final

from sqlalchemy import Connection, text
from sqlmodel import SQLModel

from app.store.engine import Database

#: What the API does besides reading, by table. With columns where the others may not change.
API_WRITES: Final = {
    "inbox": "insert",
    "inbox_head": "update, delete",
    "workspace_deletion": "insert",
    "idempotency": "insert",
    "inbox_message": "insert, delete",
    "dead": "update (replayed_us, replayed_seq)",
    "refused_request": "insert",
    "alert": "insert, update, delete",
    "alert_message": "insert, delete",
    "webhook": "insert, update, delete",
    "webhook_message": "insert, update (state, attempts, due_us), delete",
    "webhook_watch": "insert, update",
    "webhook_member": "insert",
    "api_key": "update (last_seen_us)",
    "api_usage": "insert, update (count)",
    "subscription_group": "insert, update (name)",
    "app": "insert, update (name, sdk_key, allowed_origins, sdk_authentication, public_keys, disabled)",
    "job": "insert, update (state, finished_us, owner, expires_us, callback, parameters)",
    "job_part": "insert",
    "segment": "insert, update, delete",
    "segment_size": "delete",
    "value_filling": "update (used_us)",
    "merge_setup": "insert, update",
    "merge_run": "insert",
    "workspace": "update (plan, hourly_limit, burst_limit, burst_window_seconds, max_objects_combined,"
    " max_objects_per_array, hourly_refill, track_reset_style, group_limits)",
}
#: Of the console, which runs with the owner's role: neither role may read a password, or give itself a session.
CONSOLE: Final = frozenset(("console_account", "console_role", "console_session", "console_act"))
#: What is not the worker's to change.
WORKER_READS: Final = frozenset(
    ("workspace", "company", "api_key", "inbox_head", "subscription_group", "app", "origin")
)
#: What the worker does to these nevertheless: it queues requests of its own, and deletes workspaces.
WORKER_WRITES: Final = {
    "workspace": "delete, update (name)",
    "api_key": "delete",
    "inbox_head": "update (head, last_us), delete",
    "subscription_group": "delete",
    "app": "delete",
    "console_role": "select, delete",
    "console_session": "select, delete",
    "console_act": "select, delete",
}
#: Partitioned tables, which age out by dropping partitions.
GROWING: Final = ("inbox", "idempotency", "inbox_message", "problem", "occurrence")

_ROLE: Final = text(
    "select oid = (select relowner from pg_class where oid = to_regclass('workspace')) as owns"
    " from pg_roles where rolname = :role"
)
_OWNED = text("select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = to_regclass(:name)")
_PARTITIONS = text("select inhrelid::regclass::text from pg_inherits where inhparent = cast(:name as regclass)")


def owns_schema(database: Database) -> bool:
    """Whether this connection may change the schema: always on SQLite, and where there is no schema yet."""
    return _owns(database, "alembic_version")


def owns_partitions(database: Database) -> bool:
    """Whether this connection may make and drop partitions."""
    return _owns(database, GROWING[0])


class NoRoleError(Exception):
    """There is no such role."""


class OwnerError(Exception):
    """The role owns the schema: what it could be given it has, and what others must not have would be taken from it."""


def grant(database: Database, api: str | None, worker: str | None) -> list[str]:
    """Give existing roles what they need and take away what they do not; the statements that were run.

    To be run by the owner of the schema, again after every migration. Raises NoRoleError, OwnerError, and what the
    database raises.
    """
    statements: list[str] = []
    with database.write() as connection:
        for role in filter(None, (api, worker)):
            found = connection.execute(_ROLE, {"role": role}).one_or_none()
            if found is None:
                raise NoRoleError(role)
            if found.owns:
                raise OwnerError(role)
        quote = connection.dialect.identifier_preparer.quote_identifier
        schema = quote(str(connection.execute(text("select current_schema()")).scalar()))
        names = sorted(SQLModel.metadata.tables)
        if worker is not None:
            statements += _own(connection, quote(worker), schema)
            statements += _base(quote(worker), schema, [name for name in names if name not in GROWING])
            writable = [name for name in names if name not in GROWING and name not in WORKER_READS | CONSOLE]
            statements += [f"grant insert, update, delete on {name} to {quote(worker)}" for name in writable]
            statements += [f"grant {what} on {name} to {quote(worker)}" for name, what in WORKER_WRITES.items()]
        if api is not None:
            statements += _base(quote(api), schema, names)
            statements += [f"grant {what} on {name} to {quote(api)}" for name, what in API_WRITES.items()]
        for statement in statements:
            connection.exec_driver_sql(statement)
    return statements


def _owns(database: Database, table: str) -> bool:
    if not database.is_postgresql:
        return True
    with database.read() as connection:
        return connection.execute(_OWNED, {"name": table}).scalar() in (None, True)


def _own(connection: Connection, role: str, schema: str) -> list[str]:
    """Make the growing tables, and their partitions, the role's own."""
    names = [name for table in GROWING for name in (table, *connection.execute(_PARTITIONS, {"name": table}).scalars())]
    return [
        f"grant usage, create on schema {schema} to {role}",
        *(f"alter table {name} owner to {role}" for name in names),
    ]


def _base(role: str, schema: str, names: list[str]) -> list[str]:
    readable = [name for name in names if name not in CONSOLE]
    return [
        f"grant usage on schema {schema} to {role}",
        f"revoke all on {', '.join(names)} from {role}",
        f"grant select on {', '.join(readable)}, alembic_version to {role}",
    ]
