"""Profiles: an index of those that were made for a push token and are nobody's yet."""

import sqlalchemy as sa
from alembic import context, op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    imported = sa.text("created_from = 'pti' and external_id is null")
    op.create_index(
        "profile_imported", "profile", ["workspace_id", "pid"], postgresql_where=imported, sqlite_where=imported
    )
