"""An inbox of old requests, and what is left of it."""

from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry


def append(database: Database, workspace_id: int, now_us: int, stream: int = 0) -> None:
    with database.write(database.inbox) as connection:
        inbox.append(connection, workspace_id, stream, [Entry(1, 1, b"{}")], now_us)


def apply_up_to(database: Database, workspace_id: int, seq: int) -> None:
    """Move the cursor as a drain would."""
    with database.read(database.inbox) as connection:
        requests = inbox.read(connection, workspace_id, 0, 0, 0, seq)
    with database.write() as connection:
        locked = lane.lock(connection, workspace_id)
        assert locked is not None
        lane.advance(connection, workspace_id, locked, requests[-1])


def kept(database: Database, workspace_id: int, stream: int = 0) -> list[int]:
    with database.read(database.inbox) as connection:
        return [request.seq for request in inbox.read(connection, workspace_id, stream, 0, 0, 100)]
