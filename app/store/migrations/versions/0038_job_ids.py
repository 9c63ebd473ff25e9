"""Ids of jobs are found by an index that is not unique: a node of several knows only its own workspaces."""

from alembic import context, op

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.drop_index("job_id", "job")
    op.create_index("job_id", "job", ["id"])
