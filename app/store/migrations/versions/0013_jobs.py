"""Jobs, and which profiles their files hold."""

import sqlalchemy as sa
from alembic import context, op

revision = "0013"
down_revision = "0012"

_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _big(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable, autoincrement=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _key_text(name: str) -> sa.Column[str]:
    return sa.Column(name, _BYTEWISE, nullable=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "job",
        _big("workspace_id"),
        _key_text("id"),
        _text("kind"),
        _key_text("target"),
        _text("parameters"),
        _text("created_by"),
        _text("state"),
        _big("created_us"),
        _big("started_us", nullable=True),
        _big("finished_us", nullable=True),
        _big("attempts"),
        _text("owner"),
        _big("lease_us"),
        _big("progress"),
        _big("total", nullable=True),
        _text("result"),
        _text("error"),
        _big("bytes"),
        _big("expires_us", nullable=True),
        _text("callback"),
        _big("callback_us"),
        _big("callback_attempts"),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    unfinished = sa.text("state in ('queued', 'running')")
    op.create_index("job_id", "job", ["id"], unique=True)
    op.create_index("job_created", "job", ["workspace_id", "created_us"])
    op.create_index("job_started", "job", ["workspace_id", "started_us"])
    op.create_index(
        "job_target",
        "job",
        ["workspace_id", "kind", "target"],
        unique=True,
        postgresql_where=unfinished,
        sqlite_where=unfinished,
    )
    op.create_index(
        "job_unfinished", "job", ["state", "lease_us"], postgresql_where=unfinished, sqlite_where=unfinished
    )
    due = sa.text("callback = 'due'")
    op.create_index("job_callback", "job", ["callback_us"], postgresql_where=due, sqlite_where=due)
    op.create_table(
        "job_part",
        _big("workspace_id"),
        _key_text("job_id"),
        _big("n"),
        _big("first_pid"),
        _big("last_pid"),
        sa.Column("pids", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "job_id", "n"),
    )
