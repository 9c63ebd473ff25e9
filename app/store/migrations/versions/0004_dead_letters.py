"""Dead letters: what each was sent again as, and the order in which they are listed."""

import sqlalchemy as sa
from alembic import context, op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("dead", sa.Column("replayed_seq", sa.BigInteger(), nullable=True))
    op.add_column("dead", sa.Column("replayed_us", sa.BigInteger(), nullable=True))
    op.create_index("dead_accepted", "dead", ["workspace_id", "accepted_us"])
