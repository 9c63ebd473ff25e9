"""What is queued: for each stream that is behind, how many requests wait and since when the oldest does."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from app.domain.commands import STREAMS, StreamKey
from app.store import lane
from app.store.direct import Direct
from app.store.engine import Database
from app.store.inbox import log as inbox


@dataclass(frozen=True, slots=True)
class Backlog:
    """Requests of a stream of a workspace that are accepted and not applied."""

    requests: int
    #: When the oldest of them was accepted.
    oldest_us: int


_BEHIND_POSTGRESQL: Final = text(
    """
    select h.workspace_id, h.stream, h.head, c.cursor, c.hour
    from inbox_head h join lane l using (workspace_id)
         cross join lateral (select case h.stream when 0 then l.cursor_normal else l.cursor_bulk end as cursor,
                                    case h.stream when 0 then l.hour_normal else l.hour_bulk end as hour) c
    where h.head > c.cursor /*here h.workspace_id*/ /*here l.workspace_id*/
    """
)
# `hour` keeps old partitions out; a stream that was never applied has 0 there.
_OLDEST: Final = text(
    "select accepted_us from inbox where workspace_id = :workspace_id and stream = :stream and seq = :seq"
    " and hour >= :hour"
)


_STATE: Final = "l.cursor_normal, l.cursor_bulk, l.begun_stream, l.attempts, l.trial_stream"
_LANE: Final = Direct(f"select {_STATE} from lane l where l.workspace_id = :workspace_id")
_WAITING_POSTGRESQL: Final = Direct(
    f"select {_STATE}, h.stream, h.head from inbox_head h, lane l"
    " where h.workspace_id = :workspace_id and l.workspace_id = :workspace_id"
)
#: Of a workspace that does not exist.
_NOTHING: Final = (0,) * len(STREAMS)


@dataclass(frozen=True, slots=True)
class Behind:
    """A stream whose last request is accepted and not applied."""

    head: int
    cursor: int
    #: Of the last applied request; 0 = it is not known.
    hour: int


def behind(database: Database) -> dict[StreamKey, Behind]:
    """All streams that are behind, of ten thousand workspaces perhaps: PostgreSQL leaves out the others itself.

    Raises what the database raises.
    """
    if database.is_postgresql:
        with database.read() as connection:
            rows = connection.execute(_BEHIND_POSTGRESQL).all()
        return {StreamKey(row.workspace_id, row.stream): Behind(row.head, row.cursor, row.hour) for row in rows}
    # Cursors first: a request that is accepted in between counts as queued, one that is applied never does.
    with database.read() as connection:
        cursors = lane.cursors(connection)
    with database.read(database.inbox) as connection:
        heads = inbox.heads(connection)
    return {key: Behind(head, cursors[key], 0) for key, head in heads.items() if head > cursors.get(key, head)}


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one workspace."""

    #: Of each stream, the number of the last request that is accepted, and of the last that is applied.
    heads: tuple[int, ...]
    cursors: tuple[int, ...]
    #: The stream that must be next: of a request that was begun, or whose last batch failed.
    next: int | None

    @property
    def streams(self) -> dict[int, bool]:
        """Whether each stream has requests behind its cursor."""
        return {stream: self.heads[stream] > self.cursors[stream] for stream in STREAMS}


def waiting(database: Database, workspace_id: int) -> Waiting:
    """Of one workspace, as of one instant; on SQLite a request may be accepted between two looks. Raises what the
    database raises."""
    if database.is_postgresql:
        with database.glance() as connection:
            rows = _WAITING_POSTGRESQL.rows(connection, {"workspace_id": workspace_id})
        heads = {row[-2]: row[-1] for row in rows}
        row = rows[0][:-2] if rows else None
    else:
        with database.glance(database.inbox) as connection:
            heads = inbox.heads_of(connection, workspace_id)
        with database.glance() as connection:
            row = _LANE.row(connection, {"workspace_id": workspace_id})
    if row is None:
        return Waiting(_NOTHING, _NOTHING, None)
    *cursors, begun, attempts, tried = row
    if begun is None and attempts > 0:
        begun = tried
    return Waiting(tuple(heads.get(stream, 0) for stream in STREAMS), tuple(cursors), begun)


def read(database: Database, now_us: int) -> dict[StreamKey, Backlog]:
    """{(workspace, stream): what waits} of all streams that are behind. Raises what the database raises."""
    found = behind(database)
    with database.read(database.inbox) as connection:
        return {key: _backlog(connection, key, place, now_us) for key, place in found.items()}


def _backlog(connection: Connection, key: StreamKey, place: Behind, now_us: int) -> Backlog:
    values = {**key._asdict(), "seq": place.cursor + 1, "hour": place.hour}
    oldest = connection.execute(_OLDEST, values).scalar()
    return Backlog(place.head - place.cursor, now_us if oldest is None else int(oldest))


def age_seconds(backlog: Backlog, now_us: int) -> float:
    """How long the oldest request has waited."""
    return max(0, now_us - backlog.oldest_us) / 1_000_000
