"""How far files were imported. It is kept in the transaction that stores their rows, so each row is accepted once.

The counter row of the stream is locked while we look: of two who import one file, one goes on and the other is told.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from app.domain.commands import STREAM_BULK
from app.store.inbox import log as inbox
from app.store.inbox.log import Appended, Entry

#: Files of a workspace that are remembered; the one that was imported longest ago goes. Unless set otherwise.
MOST_FILES: Final = 1_000

_DONE: Final = text("select done from import_file where workspace_id = :workspace_id and digest = :digest")
_BEGIN: Final = text(
    "insert into import_file (workspace_id, digest, done, begun_us, changed_us)"
    " values (:workspace_id, :digest, :done, :now_us, :now_us)"
)
_GO_ON: Final = text(
    "update import_file set done = :done, changed_us = :now_us where workspace_id = :workspace_id and digest = :digest"
)
_FORGET: Final = text(
    "delete from import_file where workspace_id = :workspace_id and digest in (select digest from import_file"
    " where workspace_id = :workspace_id order by changed_us desc, digest limit 1000000 offset :most)"
)


class OtherRunError(Exception):
    """Somebody else imports the same file."""


def done(connection: Connection, workspace_id: int, digest: bytes) -> int:
    """How many rows of a file are in the inbox."""
    found = connection.execute(_DONE, {"workspace_id": workspace_id, "digest": digest}).scalar()
    return int(found or 0)


def append(
    connection: Connection,
    workspace_id: int,
    digest: bytes,
    rows: tuple[int, int],
    entries: Sequence[Entry],
    now_us: int,
    most: int = MOST_FILES,
) -> list[Appended]:
    """Store requests that hold the next rows of a file: `rows` says how many were done before, and how many are then.

    Raises OtherRunError, UnknownWorkspaceError.
    """
    inbox.hold(connection, workspace_id, STREAM_BULK)
    before, after = rows
    found = connection.execute(_DONE, {"workspace_id": workspace_id, "digest": digest}).scalar()
    if (found or 0) != before:
        raise OtherRunError
    appended = inbox.append(connection, workspace_id, STREAM_BULK, entries, now_us) if entries else []
    values = {"workspace_id": workspace_id, "digest": digest, "done": after, "now_us": now_us}
    connection.execute(_BEGIN if found is None else _GO_ON, values)
    if found is None:
        connection.execute(_FORGET, {"workspace_id": workspace_id, "most": most})
    return appended
