"""What the messages of alerts are signed with. Alerts of before sign nothing until they are changed."""

import sqlalchemy as sa
from alembic import context, op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("alert", sa.Column("secret", sa.Text(), nullable=False, server_default=""))
    op.add_column("alert_message", sa.Column("secret", sa.Text(), nullable=False, server_default=""))
