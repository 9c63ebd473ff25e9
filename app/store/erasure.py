"""Deleting what nobody sees any more: occurrences of deleted people, and consent of addresses that nobody has."""

from typing import Final

from sqlalchemy import Connection, bindparam, text

from app.domain.times import DAY
from app.store.engine import Database
from app.store.partitions import OCCURRENCE_DAYS

#: People at a time: one pass over a workspace's occurrences serves all of them.
MOST: Final = 1_000

_PENDING = text("select workspace_id from erasure order by workspace_id limit 1")
_WHO = text("select pid from erasure where workspace_id = :workspace_id order by pid limit :most")
_OCCURRENCES = text(
    "delete from occurrence where workspace_id = :workspace_id and day = :day and pid in :pids"
).bindparams(bindparam("pids", expanding=True))
_DONE = text("delete from erasure where workspace_id = :workspace_id and pid in :pids").bindparams(
    bindparam("pids", expanding=True)
)

_FORGOTTEN = text("delete from address_state where forget_us is not null and forget_us < :us")


def forget_addresses(connection: Connection, before_us: int) -> int:
    """Delete what was recorded of addresses that nobody has, and that nobody inherits any more; how much it was."""
    return connection.execute(_FORGOTTEN, {"us": before_us}).rowcount


def erase(database: Database, now_us: int) -> int:
    """Delete what is left of some deleted people of one workspace. Returns how many there were, 0 when none are left.

    A day at a time, so that no transaction is long; a crash in between starts over. Nothing is added meanwhile: nobody
    can write to a profile that is gone.
    """
    with database.read() as connection:
        workspace_id = connection.execute(_PENDING).scalar()
        if workspace_id is None:
            return 0
        values = {"workspace_id": workspace_id, "most": MOST}
        pids = list(connection.execute(_WHO, values).scalars())
    today = now_us // DAY
    # Events of the future get the day of their acceptance. A wrong clock may have made later days.
    for day in range(today - OCCURRENCE_DAYS - 1, today + 3):
        with database.write() as connection:
            connection.execute(_OCCURRENCES, {"workspace_id": workspace_id, "day": day, "pids": pids})
    with database.write() as connection:
        connection.execute(_DONE, {"workspace_id": workspace_id, "pids": pids})
    database.checkpoint()
    return len(pids)
