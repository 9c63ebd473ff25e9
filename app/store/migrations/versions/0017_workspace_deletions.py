"""Workspaces that were deleted, or are being deleted."""

import sqlalchemy as sa
from alembic import context, op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "workspace_deletion",
        sa.Column("workspace_id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("us", sa.BigInteger, nullable=False),
        sa.Column("emptied_us", sa.BigInteger, nullable=True),
        sa.Column("finished_us", sa.BigInteger, nullable=True),
    )
