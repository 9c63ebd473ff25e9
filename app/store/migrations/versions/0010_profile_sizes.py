"""The size of each profile. 0 = not counted yet: it is counted when a batch loads the profile."""

import sqlalchemy as sa
from alembic import context, op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("profile", sa.Column("size", sa.BigInteger(), nullable=False, server_default="0"))
