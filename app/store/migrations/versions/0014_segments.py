"""Segments, and how many people they had on each day."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
# Compared byte by byte, like all identifiers.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "segment",
        _big("workspace_id"),
        sa.Column("id", _BYTEWISE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tags", _DOCUMENT, nullable=False),
        sa.Column("tracked", sa.Boolean(), nullable=False),
        sa.Column("definition", _DOCUMENT, nullable=False),
        _big("created_us"),
        _big("updated_us"),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_table(
        "segment_size",
        _big("workspace_id"),
        sa.Column("segment_id", _BYTEWISE, nullable=False),
        _big("day"),
        _big("size"),
        sa.PrimaryKeyConstraint("workspace_id", "segment_id", "day"),
    )
