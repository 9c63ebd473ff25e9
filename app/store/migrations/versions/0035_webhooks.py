"""Change webhooks, and the messages that wait for them."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0035"
down_revision = "0034"

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _key_text(name: str) -> sa.Column[str]:
    return sa.Column(name, _BYTEWISE, nullable=False)


def _document(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "webhook",
        _big("workspace_id"),
        _key_text("id"),
        _text("url"),
        _document("events"),
        _flag("with_profile"),
        _flag("enabled"),
        _big("created_us"),
        _text("created_by"),
        _text("secret"),
        _text("former_secret"),
        _big("former_until_us"),
        _big("failures"),
        _big("rests_until_us"),
        _text("error"),
        _big("delivered_us"),
        _big("dropped"),
        _big("lease_us"),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_table(
        "webhook_message",
        _big("workspace_id"),
        _big("pid"),
        _key_text("webhook_id"),
        _key_text("id"),
        _big("n"),
        _big("stream"),
        _big("seq"),
        _big("us"),
        _big("types"),
        _document("doc"),
        _text("state"),
        _big("attempts"),
        _big("due_us"),
        _text("error"),
        sa.PrimaryKeyConstraint("workspace_id", "pid", "webhook_id", "id"),
    )
    order = ["workspace_id", "webhook_id", "n"]
    for name, condition in (
        ("due", "state = 'due'"),
        ("again", "state = 'due' and attempts > 0"),
        ("dead", "state = 'dead'"),
    ):
        where = sa.text(condition)
        op.create_index(f"webhook_message_{name}", "webhook_message", order, postgresql_where=where, sqlite_where=where)
    naming = sa.text("types & 6 <> 0")  # merges, which name somebody else
    op.create_index(
        "webhook_message_naming",
        "webhook_message",
        ["workspace_id", "id"],
        postgresql_where=naming,
        sqlite_where=naming,
    )
    op.create_index("webhook_message_us", "webhook_message", ["us"])
