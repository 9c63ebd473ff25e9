"""How often names are written, by the type of the value; what the contract of a workspace differs in."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "name_count",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("name", _BYTEWISE, nullable=False),
        sa.Column("type", _BYTEWISE, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "name", "type"),
    )
    op.add_column("workspace", sa.Column("options", _DOCUMENT, nullable=False, server_default="{}"))
