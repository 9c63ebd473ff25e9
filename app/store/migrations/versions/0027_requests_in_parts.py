"""Requests that are applied in parts: how far the one in hand is, and how far a dead one was."""

import sqlalchemy as sa
from alembic import context, op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("lane", sa.Column("begun_stream", sa.BigInteger(), nullable=True))
    op.add_column("lane", sa.Column("begun_done", sa.BigInteger(), nullable=True))
    op.add_column("lane", sa.Column("begun", sa.Text(), nullable=True))
    op.add_column("dead", sa.Column("done", sa.BigInteger(), nullable=False, server_default="0"))
