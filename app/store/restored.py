"""What a database needs that was restored from a backup: its numbers are given out again, and others still know them.

Workers remember names and crowds by their numbers: every lane gets another epoch. Clients have ids that were made of
numbers behind the backup, of requests, profiles, merges and events: every workspace gets another part to its secret, so
that no id is ever made twice (app.domain.ids).
"""

import secrets
from contextlib import ExitStack
from typing import Final

from sqlalchemy import Connection, text

from app.domain.commands import STREAMS
from app.domain.ids import FRESH_BYTES, renewed
from app.store import lane, origin
from app.store.engine import Database
from app.store.inbox import log as inbox

_SECRETS: Final = text("select id, secret from workspace order by id")
_RENEW: Final = text("update workspace set secret = :secret where id = :id")


def go_on(database: Database) -> None:
    """Let a restored database go on, behind what was restored. Harmless where nothing was.

    An API process that is running may make ids of the old secret for as long as it remembers its keys.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(database.write())
        numbers = connection if database.is_postgresql else stack.enter_context(database.write(database.inbox))
        lane.begin_epoch(connection)
        origin.renew(connection)
        for row in connection.execute(_SECRETS).all():
            heads = [_held(numbers, row.id, stream) for stream in STREAMS]
            secret = renewed(bytes(row.secret), heads, secrets.token_bytes(FRESH_BYTES))
            connection.execute(_RENEW, {"id": row.id, "secret": secret})


def _held(connection: Connection, workspace_id: int, stream: int) -> int:
    """The last number of a stream, behind which nobody gets one before this transaction ends."""
    inbox.hold(connection, workspace_id, stream)
    return inbox.head(connection, workspace_id, stream)
