"""Webhooks of segments, and who was inside as far as they were told."""

import sqlalchemy as sa
from alembic import context, op

revision = "0037"
down_revision = "0036"

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_HELD = sa.text("state = 'held'")


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("webhook", sa.Column("segment_id", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "webhook_watch",
        _big("workspace_id"),
        sa.Column("webhook_id", _BYTEWISE, nullable=False),
        sa.Column("phase", sa.SmallInteger(), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        _big("pid"),
        _big("swept_us"),
        _big("members"),
        sa.PrimaryKeyConstraint("workspace_id", "webhook_id"),
    )
    op.create_table(
        "webhook_member",
        _big("workspace_id"),
        _big("pid"),
        sa.Column("webhook_id", _BYTEWISE, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "webhook_id", "pid"),
    )
    op.create_index("webhook_member_pid", "webhook_member", ["workspace_id", "pid"])
    op.create_index(
        "webhook_message_held",
        "webhook_message",
        ["workspace_id", "webhook_id", "n"],
        postgresql_where=_HELD,
        sqlite_where=_HELD,
    )
