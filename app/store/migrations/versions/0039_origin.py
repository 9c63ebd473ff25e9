"""Where the database has its numbers from."""

import sqlalchemy as sa
from alembic import context, op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "origin",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
