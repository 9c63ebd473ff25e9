"""A workspace that begins anew, in test mode: with its name, keys, apps, roles and limits, and nothing else.

It gets another number. All that any process remembers of a workspace, it remembers under its number: names and crowds
in a worker, what an API process has counted, tokens in Redis, a request that is being stored. So nothing of that is
ever taken for the new workspace, and nobody has to be told. What was under the old number is deleted later, beside all
other work, as that of a workspace that was deleted.
"""

from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session, col, select

from app.store import lane, workspace_deletions
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.tables import Workspace
from app.store.workspaces import UnknownNameError, next_number, number, secret_of_ids

#: What a workspace does not hand on to the next: these are made anew.
_OWN: Final = frozenset(("id", "name", "secret", "created_us"))
#: Tables whose rows stay with the workspace.
_KEPT: Final = ("api_key", "app", "console_role")


def renew(database: Database, workspace_id: int, now_us: int) -> int:
    """The number of the workspace from now on. Raises UnknownNameError."""
    with database.write() as connection, Session(connection) as session:
        before = session.exec(select(Workspace).where(col(Workspace.id) == workspace_id).with_for_update()).first()
        if before is None:
            raise UnknownNameError(workspace_id)
        kept: dict[str, Any] = {name: getattr(before, name) for name in Workspace.model_fields if name not in _OWN}
        name, before.name = before.name, workspace_deletions.name_of_deleted(workspace_id)
        session.flush()
        after = Workspace(name=name, secret=secret_of_ids(), created_us=now_us, **kept)
        if not database.is_postgresql:
            after.id = next_number(connection)
        session.add(after)
        session.flush()
        renewed = number(after)
        lane.create(connection, renewed)
        for table in _KEPT:
            move = text(f"update {table} set workspace_id = :renewed where workspace_id = :workspace_id")
            connection.execute(move, {"renewed": renewed, "workspace_id": workspace_id})
        if database.is_postgresql:
            inbox.create_heads(connection, renewed)
        else:  # before the commit: whoever learns of the number then can store at once
            with database.write(database.inbox) as inbox_connection:
                inbox.create_heads(inbox_connection, renewed)
    workspace_deletions.begin(database, workspace_id, now_us)
    return renewed
