"""Sections once more as jsonb, for counting segments on PostgreSQL: see app.store.segments.values."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
# Those of app.domain.profile that segments look at.
_SECTIONS = {"core": 1, "custom": 2, "events": 4, "purchases": 8, "devices": 16, "commerce": 64}


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, autoincrement=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("lane", sa.Column("with_values", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "value_filling", _big("workspace_id"), _big("pid", nullable=True), sa.PrimaryKeyConstraint("workspace_id")
    )
    op.create_table(
        "profile_value",
        _big("workspace_id"),
        _big("pid"),
        sa.Column("part", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("doc", _DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "pid", "part"),
        postgresql_partition_by="list (part)",
    )
    if op.get_bind().dialect.name != "postgresql":
        return
    # A count reads one section of everybody: each has a table of its own.
    for name, part in _SECTIONS.items():
        table = f"profile_value_{name}"
        # Little is left free, since counts read whole tables.
        op.execute(f"create table {table} partition of profile_value for values in ({part}) with (fillfactor = 90)")
        op.execute(
            f"do $$ begin alter table {table} alter column doc set compression lz4; "
            "exception when feature_not_supported then null; end $$"
        )
