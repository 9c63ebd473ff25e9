"""Limits and keys: companies, limits by group of endpoints, allow lists, expiry and last use of keys."""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"

_DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "company",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hourly_limit", sa.BigInteger(), nullable=True),
        sa.Column("burst_limit", sa.BigInteger(), nullable=True),
        sa.Column("burst_window_seconds", sa.BigInteger(), nullable=False),
        sa.Column("hourly_refill", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("company_name", "company", ["name"], unique=True)
    for column in (
        sa.Column("company_id", sa.BigInteger(), nullable=True),
        sa.Column("hourly_refill", sa.Text(), nullable=False, server_default="continuous"),
        sa.Column("track_reset_style", sa.Text(), nullable=False, server_default="epoch"),
        sa.Column("group_limits", _DOCUMENT, nullable=False, server_default="{}"),
        sa.Column("legacy_api_key_auth", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("disabled", sa.Boolean(), nullable=False, server_default=sa.false()),
    ):
        op.add_column("workspace", column)
    for column in (
        sa.Column("ip_allowlist", _DOCUMENT, nullable=False, server_default="[]"),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_us", sa.BigInteger(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False, server_default=""),
    ):
        op.add_column("api_key", column)
