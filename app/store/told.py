"""Forgetting deleted people wherever webhooks wait to be told of them."""

from collections.abc import Collection

from sqlalchemy import Connection

from app.store import outbox, watches, webhook_events


def erase(connection: Connection, workspace_id: int, pids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """Part of the transaction that deletes, once the profiles are gone. Returns in which segments they were: ids of
    webhooks by number of the profile."""
    if not pids:
        return {}
    webhook_events.lock(connection, workspace_id)
    outbox.erase(connection, workspace_id, pids)
    return {pid: tuple(ids) for pid, ids in watches.erase(connection, workspace_id, pids).items()}
