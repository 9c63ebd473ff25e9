"""What a database needs that was restored from a backup: its numbers are given out again, and others still know them.

Workers remember names and crowds by their numbers: every lane gets another epoch. Clients have ids that were made of
numbers behind the backup, of requests, profiles, merges and events: every workspace gets another part to its secret, so
that no id is ever made twice (app.domain.ids).

SQLite has two files. Where that of the inbox is older than the other, or a new one, it would give numbers that are
applied already to requests of today, and nobody would apply these.
"""

import secrets
from contextlib import ExitStack
from typing import Final

from sqlalchemy import Connection, text

from app.domain.commands import STREAMS, StreamKey
from app.domain.ids import FRESH_BYTES, renewed
from app.store import lane, origin, workspace_deletions
from app.store.engine import Database
from app.store.inbox import log as inbox

_SECRETS: Final = text("select id, secret from workspace order by id")
_THERE: Final = text(
    "select id from workspace where id not in (select workspace_id from workspace_deletion) order by id"
)
_RENEW: Final = text("update workspace set secret = :secret where id = :id")


def go_on(database: Database) -> None:
    """Let a restored database go on, behind what was restored. Harmless where nothing was.

    An API process that is running may make ids of the old secret for as long as it remembers its keys.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(database.write())
        numbers = connection if database.is_postgresql else stack.enter_context(database.write(database.inbox))
        lane.begin_epoch(connection)
        if not database.is_postgresql:
            _number_behind_cursors(connection, numbers)
        origin.renew(connection)
        for row in connection.execute(_SECRETS).all():
            heads = [_held(numbers, row.id, stream) for stream in STREAMS]
            secret = renewed(bytes(row.secret), heads, secrets.token_bytes(FRESH_BYTES))
            connection.execute(_RENEW, {"id": row.id, "secret": secret})


def _number_behind_cursors(connection: Connection, numbers: Connection) -> None:
    """See that the inbox gives no number out that is applied. What it had behind that is gone with its file."""
    cursors = lane.cursors(connection)
    for deletion in workspace_deletions.listed(connection):
        workspace_deletions.close(numbers, deletion.workspace_id)
    for workspace_id in connection.scalars(_THERE).all():
        inbox.create_heads(numbers, workspace_id)
        for stream in STREAMS:
            cursor = cursors.get(StreamKey(workspace_id, stream), 0)
            if inbox.head(numbers, workspace_id, stream) <= cursor:
                inbox.set_head(numbers, workspace_id, stream, cursor)
                lane.forget_begun(connection, workspace_id, stream)


def _held(connection: Connection, workspace_id: int, stream: int) -> int:
    """The last number of a stream, behind which nobody gets one before this transaction ends."""
    inbox.hold(connection, workspace_id, stream)
    return inbox.head(connection, workspace_id, stream)
