"""Jobs: when one may begin."""

import sqlalchemy as sa
from alembic import context, op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("job", sa.Column("due_us", sa.BigInteger, nullable=False, server_default="0"))
