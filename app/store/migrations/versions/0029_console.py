"""The console: accounts, their roles and sessions, and what they did."""

import sqlalchemy as sa
from alembic import context, op

revision = "0029"
down_revision = "0028"

# Compared byte by byte, like all identifiers.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "console_account",
        sa.Column("name", _BYTEWISE, nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "console_role",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("account", _BYTEWISE, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "account"),
    )
    op.create_table(
        "console_session",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("account", _BYTEWISE, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("console_session_account", "console_session", ["account", "created_us"])
    op.create_table(
        "console_act",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("account", _BYTEWISE, nullable=False),
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True, autoincrement=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("console_act_workspace", "console_act", ["workspace_id", "id"])
