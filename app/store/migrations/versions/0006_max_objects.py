"""Objects per request, for each workspace."""

import sqlalchemy as sa
from alembic import context, op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    for name in ("max_objects_combined", "max_objects_per_array"):
        op.add_column("workspace", sa.Column(name, sa.BigInteger(), nullable=True))
