"""PostgreSQL takes the index of braze_ids for looking these up alone."""

from alembic import context, op
from sqlalchemy import text

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.drop_index("profile_braze_id", "profile")
    named = text("braze_id is not null")
    op.create_index(
        "profile_braze_id",
        "profile",
        ["workspace_id", "braze_id"],
        unique=True,
        postgresql_where=named,
        sqlite_where=named,
    )
