"""Lanes: which requests a batch was about to try, so that one that kills its process is found in a few deaths."""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("lane", sa.Column("trial_stream", sa.SmallInteger(), nullable=False, server_default="0"))
    op.add_column("lane", sa.Column("trial_last", sa.BigInteger(), nullable=False, server_default="0"))
