"""What was applied: by which version of the reducer."""

import sqlalchemy as sa
from alembic import context, op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("applied", sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"))
