"""Requests that no reader understands, as a bug of ours might have let in."""

from typing import Final

from app.contract import kinds
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.api.harness import Workspace, times_now

#: No reader understands it, as a bug of ours might have let it in; reading it raises AttributeError.
POISON: Final = b'{"attributes":[[0,[],[]]]}'


def poison(workspace: Workspace, *bodies: bytes, stream: int = 0, kind: int = kinds.TRACK) -> None:
    database = workspace.service.database
    with database.write(database.inbox) as connection:
        entries = [Entry(kind, 2, body) for body in bodies or (POISON,)]
        inbox.append(connection, workspace.id, stream, entries, times_now())
