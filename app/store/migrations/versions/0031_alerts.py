"""Alerts, and the messages that they send."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0031"
down_revision = "0030"

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, autoincrement=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _key_text(name: str) -> sa.Column[str]:
    return sa.Column(name, _BYTEWISE, nullable=False)


def _document(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "alert",
        _big("workspace_id"),
        _key_text("id"),
        _text("name"),
        _text("metric"),
        _big("above"),
        _big("window_minutes"),
        _big("for_seconds"),
        _big("clear_seconds"),
        _text("key_id"),
        _text("endpoint"),
        _text("channel"),
        _document("targets"),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.false()),
        _big("created_us"),
        _text("created_by"),
        _text("state"),
        _big("since_us"),
        _big("version"),
        _big("value", nullable=True),
        _big("checked_us"),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_table(
        "alert_message",
        _big("workspace_id"),
        _key_text("id"),
        _text("alert_id"),
        _big("us"),
        _text("said"),
        _text("channel"),
        _document("targets"),
        _document("doc"),
        _text("delivery"),
        _big("attempts"),
        _big("due_us"),
        _text("error"),
        _big("ended_us", nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_index("alert_message_us", "alert_message", ["workspace_id", "us"])
    due = sa.text("delivery = 'due'")
    op.create_index("alert_message_due", "alert_message", ["due_us"], postgresql_where=due, sqlite_where=due)
