"""The epoch of a lane: what workers remember of a workspace, they remember for one epoch."""

import sqlalchemy as sa
from alembic import context, op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("lane", sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"))
