"""Deleting what nobody sees any more: occurrences of deleted people, and consent of addresses that nobody has."""

import time
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, text

from app.domain.times import DAY
from app.store.chunks import CHUNK, LONGEST_PAUSE_SECONDS, repeat
from app.store.engine import Database
from app.store.partitions import OCCURRENCE_DAYS

#: People at a time: one pass over a workspace's occurrences serves all of them.
MOST: Final = 1_000
#: Occurrences that one transaction looks through, and deletes at most.
SLICE: Final = 5_000

_PENDING = text("select workspace_id from erasure where true /*here workspace_id*/ order by workspace_id limit 1")
_WHO = text("select pid from erasure where workspace_id = :workspace_id order by pid limit :most")
_BEHIND: Final = (
    " from occurrence where workspace_id = :workspace_id and day = :day"
    " and (stream, seq, ordinal) > (:stream, :seq, :ordinal)"
)
_WITHIN: Final = f"{_BEHIND} and (stream, seq, ordinal) <= (:last_stream, :last_seq, :last_ordinal) and pid in :pids"
_END = text(f"select stream, seq, ordinal {_BEHIND} order by stream, seq, ordinal limit 1 offset :others")
_ANY = text(f"select 1 {_WITHIN} limit 1").bindparams(bindparam("pids", expanding=True))
_DELETE = text(f"delete {_WITHIN}").bindparams(bindparam("pids", expanding=True))
_DONE = text("delete from erasure where workspace_id = :workspace_id and pid in :pids").bindparams(
    bindparam("pids", expanding=True)
)

#: Before and behind every (stream, seq, ordinal).
_BEGINNING: Final = (-1, 0, 0)
_END_OF_DAY: Final = (2**15 - 1, 2**63 - 1, 2**63 - 1)

_FORGET = text(
    """
    delete from address_state where (workspace_id, channel, address, group_id) in (
      select workspace_id, channel, address, group_id from address_state
      where forget_us is not null and forget_us < :us /*here workspace_id*/ limit :most
    ) /*here workspace_id*/
    """
)

_Place = tuple[int, int, int]


def forget_addresses(database: Database, before_us: int) -> int:
    """Delete what was recorded of addresses that nobody has, and that nobody inherits any more; how much it was."""

    def part() -> int:
        with database.write() as connection:
            return connection.execute(_FORGET, {"us": before_us, "most": CHUNK}).rowcount

    return repeat(part)


def erase(database: Database, now_us: int, *, at_once: int = SLICE) -> int:
    """Delete what is left of some deleted people of one workspace. Returns how many there were, 0 when none are left.

    A part of a day at a time, `at_once` rows, so that no transaction is long and nobody who writes waits for one; a
    crash in between starts over. Nothing is added meanwhile: nobody can write to a profile that is gone.
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
        place: _Place | None = _BEGINNING
        while place is not None:
            place = _erase_slice(database, {"workspace_id": workspace_id, "day": day}, place, pids, at_once)
    with database.write() as connection:
        connection.execute(_DONE, {"workspace_id": workspace_id, "pids": pids})
    database.checkpoint()
    return len(pids)


def _erase_slice(
    database: Database, of: dict[str, int], place: _Place, pids: Sequence[int], at_once: int
) -> _Place | None:
    """Go through the next occurrences of a day, and delete those of some people. The last one; None: there are no more.

    They are looked for without keeping anybody from writing.
    """
    values: dict[str, Any] = {**of, "stream": place[0], "seq": place[1], "ordinal": place[2]}
    with database.read() as connection:
        row = connection.execute(_END, {**values, "others": at_once - 1}).one_or_none()
        last: _Place = _END_OF_DAY if row is None else (row.stream, row.seq, row.ordinal)
        values |= {"last_stream": last[0], "last_seq": last[1], "last_ordinal": last[2], "pids": pids}
        found = connection.execute(_ANY, values).scalar()
    if found is not None:
        began = time.monotonic()
        with database.write() as connection:
            connection.execute(_DELETE, values)
        # SQLite lets nobody in who waits when the next transaction begins at once.
        time.sleep(min(time.monotonic() - began, LONGEST_PAUSE_SECONDS))
    return None if row is None else last
