"""Profiles: an index of those few that have flags, so that test users and the control group are found."""

import sqlalchemy as sa
from alembic import context, op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    flagged = sa.text("flags <> 0")
    op.create_index(
        "profile_flagged", "profile", ["workspace_id", "pid"], postgresql_where=flagged, sqlite_where=flagged
    )
