"""Files that were imported, and how far, beside the inbox."""

import sqlalchemy as sa
from alembic import context, op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    if "inbox" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "import_file",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("begun_us", sa.BigInteger(), nullable=False),
        sa.Column("changed_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "digest"),
    )
