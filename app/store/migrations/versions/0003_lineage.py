"""Lineage: which profiles were merged into which, and whose occurrences are still to be deleted."""

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "lineage",
        _big("workspace_id"),
        _big("member_pid"),
        _big("parent_pid"),
        _big("root_pid"),
        sa.PrimaryKeyConstraint("workspace_id", "member_pid"),
    )
    op.create_index("lineage_parent", "lineage", ["workspace_id", "parent_pid"])
    op.create_index("lineage_root", "lineage", ["workspace_id", "root_pid"])
    op.create_table(
        "erasure",
        _big("workspace_id"),
        _big("pid"),
        sa.PrimaryKeyConstraint("workspace_id", "pid"),
    )
