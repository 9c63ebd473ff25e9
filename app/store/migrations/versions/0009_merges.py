"""Records of merges, the history of profiles, and that profiles were deleted."""

import sqlalchemy as sa
from alembic import context, op

revision = "0009"
down_revision = "0008"

# Compared byte by byte, like all identifiers.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def _small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger(), nullable=False, autoincrement=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _key_text(name: str) -> sa.Column[str]:
    return sa.Column(name, _BYTEWISE, nullable=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "merge_record",
        _big("workspace_id"),
        _key_text("id"),
        _big("kept_pid"),
        _big("merged_pid"),
        _text("kept_braze_id"),
        _key_text("merged_braze_id"),
        _big("merged_created_us"),
        _small("stream"),
        _big("seq"),
        _big("ordinal"),
        _big("us"),
        _text("key_name"),
        _text("previous", nullable=True),
        _big("kept_updated_us"),
        _big("kept_updated_index"),
        _big("expires_us"),
        _text("plan", nullable=True),
        _text("snapshot", nullable=True),
        _text("undone", nullable=True),
        _text("unseparated", nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.create_index("merge_record_kept", "merge_record", ["workspace_id", "kept_pid"])
    op.create_index("merge_record_merged", "merge_record", ["workspace_id", "merged_pid"])
    op.create_index("merge_record_braze_id", "merge_record", ["workspace_id", "merged_braze_id"])
    kept = sa.text("plan is not null")
    op.create_index("merge_record_expiry", "merge_record", ["expires_us"], postgresql_where=kept, sqlite_where=kept)
    op.create_table(
        "history",
        _big("workspace_id"),
        _big("pid"),
        _big("us"),
        _big("ordinal"),
        _key_text("what"),
        _small("stream"),
        _big("seq"),
        _text("key_name"),
        _text("other"),
        _text("merge_id"),
        sa.PrimaryKeyConstraint("workspace_id", "pid", "us", "ordinal", "what"),
    )
    op.create_table(
        "deletion",
        _big("workspace_id"),
        _key_text("erased_id"),
        _small("stream"),
        _big("seq"),
        _big("ordinal"),
        _big("us"),
        _text("key_name"),
        sa.PrimaryKeyConstraint("workspace_id", "erased_id"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for column in ("plan", "snapshot"):
            # lz4 costs half the time of pglz; a server that was built without it keeps its default.
            op.execute(
                f"do $$ begin alter table merge_record alter column {column} set compression lz4; "
                "exception when feature_not_supported then null; end $$"
            )
