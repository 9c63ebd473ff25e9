"""Apps with their SDK keys; a push token, and a device of an app, belongs to one profile."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0018"
down_revision = "0017"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")
# Compared byte by byte, like all identifiers.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "app",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("id", _BYTEWISE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("sdk_key", _BYTEWISE, nullable=False),
        sa.Column("allowed_origins", _DOCUMENT, nullable=False),
        sa.Column("sdk_authentication", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("public_keys", _DOCUMENT, nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("created_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_index("app_sdk_key", "app", ["sdk_key"], unique=True)
    op.create_index(
        "identifier_of_device",
        "identifier",
        ["workspace_id", "kind", "label", "value"],
        unique=True,
        postgresql_where=sa.text("kind >= 7"),
        sqlite_where=sa.text("kind >= 7"),
    )
