"""What batches changed is kept in one row each, before messages are made of it; messages name no others any more."""

import json

import sqlalchemy as sa
from alembic import context, op

revision = "0036"
down_revision = "0035"

_OTHERS = sa.text("select workspace_id, pid, webhook_id, id, doc from webhook_message where types & 6 <> 0")
_WRITE = (
    "update webhook_message set doc = {} where workspace_id = :workspace_id and pid = :pid"
    " and webhook_id = :webhook_id and id = :id"
)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, autoincrement=False)


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "webhook_event",
        _big("workspace_id"),
        _big("n"),
        sa.Column("stream", sa.SmallInteger(), nullable=False),
        _big("seq"),
        sa.Column("part", sa.Boolean(), nullable=False, server_default=sa.false()),
        _big("us"),
        sa.Column("doc", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "n"),
    )
    op.drop_index("webhook_message_naming", "webhook_message")
    connection = op.get_bind()
    write = sa.text(_WRITE.format("cast(:doc as jsonb)" if connection.dialect.name == "postgresql" else ":doc"))
    for row in connection.execute(_OTHERS).all():
        doc = json.loads(row.doc) if isinstance(row.doc, str) else row.doc
        doc["others"] = [number for number, _ in doc.get("others", ())]
        key = {"workspace_id": row.workspace_id, "pid": row.pid, "webhook_id": row.webhook_id, "id": row.id}
        connection.execute(write, {**key, "doc": json.dumps(doc)})
