"""Profiles: an index of those that take no further data."""

import sqlalchemy as sa
from alembic import context, op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    blocked = sa.text("(flags & 8) <> 0")
    op.create_index(
        "profile_blocked", "profile", ["workspace_id", "pid"], postgresql_where=blocked, sqlite_where=blocked
    )
