"""Values for segments: how far batches wrote them, when they were used last, and whether they are being removed."""

import sqlalchemy as sa
from alembic import context, op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.add_column("lane", sa.Column("values_at", sa.BigInteger(), nullable=True))
    op.add_column("value_filling", sa.Column("used_us", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("value_filling", sa.Column("leaving", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("value_filling", sa.Column("behind_us", sa.BigInteger(), nullable=True))
    # Batches before this one are taken for complete, as they were.
    op.execute("update lane set values_at = cursor_normal + cursor_bulk where with_values")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("update value_filling set used_us = cast(extract(epoch from now()) * 1000000 as bigint)")
