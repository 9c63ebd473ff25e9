"""Subscription groups; consent of addresses that nobody has is forgotten; lists of addresses have indexes."""

import json

import sqlalchemy as sa
from alembic import context, op

revision = "0015"
down_revision = "0014"

# Compared byte by byte, like all identifiers.
_BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_LISTS = {
    "address_unsubscribed": "group_id = '' and state = 'unsubscribed'",
    "address_bounced": "group_id = '~hard_bounced'",
    "address_invalid": "group_id = '~invalid'",
}


# Complaints moved from profiles to their addresses.
_COMPLAINED = sa.text(
    """
    select workspace_id, pid, doc from profile_core
    where doc like '%"marked_email_as_spam_at":%' and doc like '%"email":%'
    """
)
_MARK = sa.text(
    """
    insert into address_state (workspace_id, channel, address, group_id, state, changed_us)
    values (:workspace_id, 1, :address, '~spam', 'marked', :us)
    on conflict (workspace_id, channel, address, group_id) do update set changed_us = excluded.changed_us
    """
)
_UNMARK = sa.text("update profile_core set doc = :doc where workspace_id = :workspace_id and pid = :pid")


def move_complaints(connection: sa.Connection) -> None:
    """Complaints of profiles that have an e-mail address become marks of the address."""
    for workspace_id, pid, doc in connection.execute(_COMPLAINED).all():
        core = json.loads(doc)
        us, address = core.pop("marked_email_as_spam_at", None), core.get("email")
        if us is not None and address is not None:
            connection.execute(_MARK, {"workspace_id": workspace_id, "address": address, "us": us})
            text = json.dumps(core, ensure_ascii=False, separators=(",", ":"))
            connection.execute(_UNMARK, {"workspace_id": workspace_id, "pid": pid, "doc": text})


def upgrade() -> None:
    if "main" not in context.config.attributes["parts"]:
        return
    op.create_table(
        "subscription_group",
        sa.Column("workspace_id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("id", _BYTEWISE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("workspace_id", "id"),
    )
    op.add_column("address_state", sa.Column("forget_us", sa.BigInteger(), nullable=True))
    for name, where in _LISTS.items():
        op.create_index(
            name,
            "address_state",
            ["workspace_id", "changed_us", "address"],
            postgresql_where=sa.text(where),
            sqlite_where=sa.text(where),
        )
    op.create_index(
        "address_forgotten",
        "address_state",
        ["forget_us"],
        postgresql_where=sa.text("forget_us is not null"),
        sqlite_where=sa.text("forget_us is not null"),
    )
    move_complaints(op.get_bind())
