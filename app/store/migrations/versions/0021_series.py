"""Series: how much happened on each day and in each hour."""

import sqlalchemy as sa
from alembic import context, op

revision = "0021"
down_revision = "0020"

# Compared byte by byte, like all identifiers.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "series",
        _big("workspace_id"),
        sa.Column("kind", sa.SmallInteger(), nullable=False, autoincrement=False),
        sa.Column("name", _BYTEWISE, nullable=False),
        sa.Column("app", _BYTEWISE, nullable=False),
        _big("id"),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "name", "app"),
    )
    op.create_index("series_id", "series", ["workspace_id", "id"], unique=True)
    for unit in ("day", "hour"):
        op.create_table(
            f"series_{unit}",
            _big("workspace_id"),
            _big("series_id"),
            _big(unit),
            _big("count"),
            _big("high"),
            _big("low"),
            sa.PrimaryKeyConstraint("workspace_id", "series_id", unit),
        )
        if op.get_bind().dialect.name == "postgresql":
            # The rows of the present day are updated by every batch: new versions find room in their page.
            op.execute(f"alter table series_{unit} set (fillfactor = 50)")
