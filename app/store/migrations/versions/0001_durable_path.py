"""The durable path: workspaces and keys, inbox, lane, profiles, identifiers, occurrences.

On PostgreSQL the tables that only grow are range-partitioned, so that ageing out is dropping a table. A default
partition takes what no partition was made for, so that a late partition never refuses a request.
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
# Identifiers are compared byte by byte; no language's sorting applies to them.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, autoincrement=False)


def _small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger(), nullable=False, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _key_text(name: str) -> sa.Column[str]:
    return sa.Column(name, _BYTEWISE, nullable=False)


def _document(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, _DOCUMENT, nullable=nullable)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def upgrade() -> None:
    parts = context.config.attributes["parts"]
    if "inbox" in parts:
        _inbox()
    if "main" in parts:
        _workspaces()
        _lane()
        _profiles()
        _occurrences()
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()


def _inbox() -> None:
    op.create_table(
        "inbox_head",
        _big("workspace_id"),
        _small("stream"),
        _big("head"),
        _big("last_us"),
        sa.PrimaryKeyConstraint("workspace_id", "stream"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "inbox",
        _big("workspace_id"),
        _small("stream"),
        _big("seq"),
        _big("hour"),
        _small("kind"),
        _small("codec"),
        _bytes("body"),
        _big("accepted_us"),
        sa.PrimaryKeyConstraint("workspace_id", "stream", "seq", "hour"),
        postgresql_partition_by="RANGE (hour)",
    )


def _workspaces() -> None:
    op.create_table(
        "workspace",
        sa.Column("id", sa.Integer(), nullable=False),
        _text("name"),
        _text("plan"),
        _big("hourly_limit", nullable=True),
        _big("burst_limit", nullable=True),
        _big("burst_window_seconds", nullable=True),
        _bytes("secret"),
        _big("created_us"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("workspace_name", "workspace", ["name"], unique=True)
    op.create_table(
        "api_key",
        _big("workspace_id"),
        _text("key_id"),
        _text("name"),
        _bytes("digest"),
        _document("permissions"),
        _big("created_us"),
        _big("revoked_us", nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "key_id"),
    )
    op.create_index("api_key_key_id", "api_key", ["key_id"], unique=True)


def _lane() -> None:
    op.create_table(
        "lane",
        _big("workspace_id"),
        _big("cursor_normal"),
        _big("cursor_bulk"),
        _big("hour_normal"),
        _big("hour_bulk"),
        _big("applied_n"),
        _big("attempts"),
        _document("settings"),
        sa.PrimaryKeyConstraint("workspace_id"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "applied",
        _big("workspace_id"),
        _big("n"),
        _small("stream"),
        _big("from_seq"),
        _big("to_seq"),
        sa.PrimaryKeyConstraint("workspace_id", "n"),
        postgresql_with={"fillfactor": 50},
    )
    op.create_table(
        "problem",
        _big("workspace_id"),
        _small("stream"),
        _big("seq"),
        _big("ordinal"),
        _big("n"),
        _big("day"),
        _text("input_array"),
        _big("position"),
        _text("field"),
        _text("reason"),
        sa.PrimaryKeyConstraint("workspace_id", "stream", "seq", "ordinal", "n", "day"),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_table(
        "dead",
        _big("workspace_id"),
        _small("stream"),
        _big("seq"),
        _small("kind"),
        _small("codec"),
        _bytes("body"),
        _big("accepted_us"),
        _big("dead_us"),
        _text("reason"),
        sa.PrimaryKeyConstraint("workspace_id", "stream", "seq"),
    )


def _profiles() -> None:
    op.create_table(
        "profile",
        _big("workspace_id"),
        _big("pid"),
        _key_text("braze_id"),
        sa.Column("external_id", _BYTEWISE, nullable=True),
        _big("created_us"),
        _big("updated_us"),
        _big("updated_index"),
        _text("created_from"),
        _big("random_bucket"),
        _big("flags"),
        _big("revenue_cents"),
        _big("purchase_count"),
        _big("first_purchase_us", nullable=True),
        _big("last_purchase_us", nullable=True),
        _big("session_count"),
        _big("first_session_us", nullable=True),
        _big("last_session_us", nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "pid"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index("profile_braze_id", "profile", ["workspace_id", "braze_id"], unique=True)
    anonymous = sa.text("external_id is null")
    op.create_index(
        "profile_anonymous",
        "profile",
        ["workspace_id", "pid"],
        postgresql_where=anonymous,
        sqlite_where=anonymous,
    )
    for table in ("profile_core", "profile_custom"):
        op.create_table(
            table,
            _big("workspace_id"),
            _big("pid"),
            _text("doc"),
            sa.PrimaryKeyConstraint("workspace_id", "pid"),
            postgresql_with={"fillfactor": 70},
        )
    op.create_table(
        "profile_part",
        _big("workspace_id"),
        _big("pid"),
        _small("part"),
        _text("doc"),
        sa.PrimaryKeyConstraint("workspace_id", "pid", "part"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "identifier",
        _big("workspace_id"),
        _small("kind"),
        _key_text("label"),
        _key_text("value"),
        _big("pid"),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "label", "value", "pid"),
    )
    unique_kinds = sa.text("kind <= 3")
    op.create_index(
        "identifier_unique",
        "identifier",
        ["workspace_id", "kind", "label", "value"],
        unique=True,
        postgresql_where=unique_kinds,
        sqlite_where=unique_kinds,
    )
    op.create_table(
        "address_state",
        _big("workspace_id"),
        _small("channel"),
        _key_text("address"),
        _key_text("group_id"),
        _text("state"),
        _big("changed_us"),
        sa.PrimaryKeyConstraint("workspace_id", "channel", "address", "group_id"),
    )


def _occurrences() -> None:
    op.create_table(
        "name",
        _big("workspace_id"),
        _small("kind"),
        _key_text("name"),
        _big("id"),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "name"),
    )
    op.create_index("name_id", "name", ["workspace_id", "id"], unique=True)
    op.create_table(
        "occurrence",
        _big("workspace_id"),
        _big("day"),
        _small("stream"),
        _big("seq"),
        _big("ordinal"),
        _big("pid"),
        _big("name_id"),
        _big("time_us"),
        _text("app_id", nullable=True),
        _document("properties", nullable=True),
        _big("quantity"),
        _big("cents"),
        sa.PrimaryKeyConstraint("workspace_id", "day", "stream", "seq", "ordinal"),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index("occurrence_name", "occurrence", ["workspace_id", "name_id", "day", "pid"])


def _postgresql() -> None:
    for table in ("inbox", "problem", "occurrence"):
        op.execute(f"create table {table}_default partition of {table} default")
    for table, column in (
        ("inbox", "body"),
        ("profile_core", "doc"),
        ("profile_custom", "doc"),
        ("profile_part", "doc"),
        ("occurrence", "properties"),
    ):
        # lz4 costs half the time of pglz; a server that was built without it keeps its default.
        op.execute(
            f"do $$ begin alter table {table} alter column {column} set compression lz4; "
            "exception when feature_not_supported then null; end $$"
        )
