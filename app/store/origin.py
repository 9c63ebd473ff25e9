"""Whether a database still is the one that gave out its numbers, or was put back to an earlier moment.

Ids are made of numbers, so a database that was put back gives the same ids out twice until app.store.restored was run.
`onefold restore` does it by itself. Whoever restores by other means has to say so, and may forget it. Two signs tell:

* **Another place.** Beside the numbers lies what PostgreSQL says of itself: cluster, timeline, database and table. A
  dump that is restored anywhere has another table or another cluster. A restore to a moment begins a new timeline. So
  does a standby that is promoted, which may have everything: whether it had, PostgreSQL does not tell.
* **Smaller numbers.** Redis remembers the numbers that were given out (app.adapters.remembered). Those of the database
  are smaller only where it was put back, also as a copy of files, which has the same place as before. A standby that
  had everything is never taken for one.

SQLite's files have no place: a copy that is put back has what its origin had.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.domain.commands import StreamKey
from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox

# The timeline is that of what is written now: the control file learns of a new one by the next checkpoint.
_PLACE: Final = text(
    "select (select system_identifier from pg_control_system()), substr(pg_walfile_name(pg_current_wal_insert_lsn()),"
    " 1, 8), (select oid from pg_database where datname = current_database()), cast('origin' as regclass)::oid"
)
_READ: Final = text("select key, place from origin where id = 1")
_BEGIN: Final = text("insert into origin (id, key, place) values (1, :key, :place) on conflict (id) do nothing")
_PUT: Final = text(
    "insert into origin (id, key, place) values (1, :key, :place)"
    " on conflict (id) do update set key = excluded.key, place = excluded.place"
)
_KEY_BYTES: Final = 8
#: Of the parts of a place: that of the timeline.
_TIMELINE: Final = 1
_Stream = TypeVar("_Stream", bound=tuple[int, int])


class Doubt(Enum):
    """Why numbers may be given out twice."""

    #: A standby took over, or the database was restored to a moment.
    TIMELINE = "timeline"
    #: Another cluster, another database, or tables that were made anew.
    ELSEWHERE = "elsewhere"
    #: Numbers are smaller than they were: it was put back.
    BACK = "back"
    #: More was applied than accepted: the parts of the database are not of one moment.
    TORN = "torn"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the database says of where its numbers are from."""

    key: str
    #: As it was written down, and as it is; "" = it cannot be told.
    place: str
    present: str

    @property
    def doubt(self) -> Doubt | None:
        """What the place says."""
        before, now = self.place.split("/"), self.present.split("/")
        if not self.place or not self.present or before == now:
            return None
        rest = [part for n, part in enumerate(before) if n != _TIMELINE]
        same = rest == [part for n, part in enumerate(now) if n != _TIMELINE]
        return Doubt.TIMELINE if same else Doubt.ELSEWHERE


def read(connection: Connection) -> Origin | None:
    """What is known; None before the migration that made the row. Raises what the database raises."""
    row = connection.execute(_READ).one_or_none()
    return None if row is None else Origin(row.key, row.place, _present(connection))


def begin(connection: Connection) -> None:
    """Write down where the database is, unless that is known. Part of a transaction."""
    connection.execute(_BEGIN, _row(connection))


def renew(connection: Connection) -> None:
    """The database was put back, and its ids are new ones from here on. Part of a transaction."""
    connection.execute(_PUT, _row(connection))


def confirm(connection: Connection) -> None:
    """The database is in another place and has all that it had: what is remembered of it holds. Part of a
    transaction."""
    found = connection.execute(_READ).one_or_none()
    values = _row(connection)
    connection.execute(_PUT, values if found is None else {**values, "key": found.key})


def fallen(remembered: Mapping[_Stream, int], heads: Mapping[StreamKey, int]) -> list[StreamKey]:
    """Streams whose numbers are smaller than they were. `heads` were read behind what is `remembered`."""
    numbers = ((StreamKey(*stream), number) for stream, number in remembered.items())
    return sorted(key for key, number in numbers if heads.get(key, number) < number)


def torn(database: Database) -> list[StreamKey]:
    """Streams of which more was applied than accepted: one file of SQLite is older than the other. One without counters
    is being deleted, unless all are. Raises what the database raises."""
    with database.read() as connection:
        cursors = lane.cursors(connection)
    with database.read(database.inbox) as connection:  # behind the cursors: heads only grow
        heads = inbox.heads(connection)
    return fallen(cursors, heads or dict.fromkeys(cursors, 0))


def _row(connection: Connection) -> dict[str, str]:
    return {"key": secrets.token_hex(_KEY_BYTES), "place": _present(connection)}


def _present(connection: Connection) -> str:
    """Where the database is now; "" where that cannot be told: on SQLite, and of servers that do not say it."""
    if connection.dialect.name != "postgresql":
        return ""
    try:
        with connection.begin_nested():
            return "/".join(str(part) for part in connection.execute(_PLACE).one())
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        return ""
