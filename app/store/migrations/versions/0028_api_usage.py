"""Answers of the API by minute, key, endpoint and status."""

import sqlalchemy as sa
from alembic import context, op

revision = "0028"
down_revision = "0027"

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "api_usage",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("minute", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("key_id", _BYTEWISE, nullable=False),
        sa.Column("endpoint", _BYTEWISE, nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "minute", "key_id", "endpoint", "status"),
    )
    op.create_index("api_usage_minute", "api_usage", ["minute"])
