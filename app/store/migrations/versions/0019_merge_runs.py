"""Merge rules, their schedule, their runs, and what the runs queued."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0019"
down_revision = "0018"

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
        "merge_setup",
        _big("workspace_id"),
        _document("rules"),
        sa.Column("scheduled", sa.Boolean(), nullable=False, server_default=sa.false()),
        _big("scheduled_us"),
        sa.PrimaryKeyConstraint("workspace_id"),
    )
    op.create_table(
        "merge_run",
        _big("workspace_id"),
        _key_text("id"),
        _big("created_us"),
        _big("day", nullable=True),
        _document("rules"),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_index("merge_run_created", "merge_run", ["workspace_id", "created_us"])
    scheduled = sa.text("day is not null")
    op.create_index(
        "merge_run_day",
        "merge_run",
        ["workspace_id", "day"],
        unique=True,
        postgresql_where=scheduled,
        sqlite_where=scheduled,
    )
    op.create_table(
        "merge_run_request",
        _big("workspace_id"),
        _key_text("run_id"),
        _big("n"),
        sa.Column("rule", sa.SmallInteger(), nullable=False),
        _big("seq"),
        _big("merges"),
        _big("scanned"),
        _text("alone"),
        _big("merged", nullable=True),
        _text("skipped"),
        _big("undo_seq", nullable=True),
        _big("undone", nullable=True),
        _text("left_alone"),
        sa.PrimaryKeyConstraint("workspace_id", "run_id", "n"),
    )
