"""Message ids of calls of tracking SDKs, beside the inbox, for a week."""

import sqlalchemy as sa
from alembic import context, op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    if "inbox" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "inbox_message",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("app", sa.LargeBinary(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "digest", "day"),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index("inbox_message_app", "inbox_message", ["workspace_id", "app", "n"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("create table inbox_message_default partition of inbox_message default")
