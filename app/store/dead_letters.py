"""Dead letters: requests that could not be applied, kept with their bodies so that they can be sent again.

A letter goes to the stream that it came from, as a new request behind everything accepted so far; the letter stays and
says so. It is sent once: the place of a letter is the idempotency key of its replay.

A deletion erases the bodies that name its people when it is applied. So nothing is sent while one is still to be
applied: it would come behind the deletion and bring somebody back.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Connection, TextClause, bindparam, text

from app.domain.commands import STREAM_NORMAL, STREAMS
from app.domain.times import DAY
from app.store import lane
from app.store.chunks import repeat
from app.store.engine import Database
from app.store.inbox import idempotency
from app.store.inbox import log as inbox
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, Stored

#: Bodies are kept this long. The rest of a letter stays: it says what became of the request.
BODY_DAYS: Final = 30
#: Bodies that one transaction drops: each may have megabytes.
_BODIES_AT_ONCE: Final = 16


class DeletionPendingError(Exception):
    """A deletion is accepted and not applied yet. It may concern a person whom a letter names."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter without its body."""

    stream: int
    seq: int
    kind: int
    accepted_us: int
    dead_us: int
    #: Class of the error.
    reason: str
    #: Of the body in bytes; 0 once it is gone.
    size: int
    #: Number of the request that it was sent as again, in the same stream.
    replayed_seq: int | None
    replayed_us: int | None


_BURY: Final = text(
    """
    insert into dead (workspace_id, stream, seq, kind, codec, body, accepted_us, dead_us, reason, done)
    values (:workspace_id, :stream, :seq, :kind, :codec, :body, :accepted_us, :dead_us, :reason, :done)
    """
)
_LETTER: Final = (
    "select stream, seq, kind, accepted_us, dead_us, reason, length(body) as size, replayed_seq, replayed_us from dead"
)
_GET: Final = text(f"{_LETTER} where workspace_id = :workspace_id and stream = :stream and seq = :seq")
_FIND: Final = text(
    f"""
    {_LETTER} where workspace_id = :workspace_id and accepted_us > :after_us and dead_us >= :since_us
        and accepted_us >= :from_us and accepted_us < :to_us
        and (cast(:reason as text) is null or reason = :reason)
        and (cast(:kind as smallint) is null or kind = :kind)
        and (cast(:replayed as smallint) is null or (replayed_seq is not null) = (:replayed = 1))
        and (:sendable = 0 or (replayed_seq is null and length(body) > 0))
    order by accepted_us limit :limit
    """
)
_UNSENT: Final = text(
    "select w.name, count(*) from dead d join workspace w on w.id = d.workspace_id"
    " where d.replayed_seq is null and length(d.body) > 0 and d.dead_us >= :since_us /*here d.workspace_id*/"
    " group by w.name order by w.name"
)
_SINCE: Final = text("select count(*) from dead where workspace_id = :workspace_id and dead_us > :since_us")
_SINCE_OF_ALL: Final = text("select count(*) from dead where dead_us > :since_us /*here workspace_id*/")
_BODIES: Final = text(
    "select stream, seq, kind, codec, body, accepted_us from dead"
    " where workspace_id = :workspace_id and stream = :stream and seq in :seqs and replayed_seq is null order by seq"
).bindparams(bindparam("seqs", expanding=True))
_MARK: Final = text(
    "update dead set replayed_seq = :replayed_seq, replayed_us = :now_us"
    " where workspace_id = :workspace_id and stream = :stream and seq = :seq"
)
#: A few at a time: a body may have megabytes.
_WHOLE: Final = text(
    "select stream, seq, kind, codec, body, accepted_us from dead"
    " where workspace_id = :workspace_id and accepted_us > :after_us and length(body) > 0"
    " order by accepted_us limit 16"
)
_BLANK: Final = text(
    "update dead set body = :nothing where workspace_id = :workspace_id and stream = :stream and seq = :seq"
)
_OLD: Final = text(
    "select workspace_id, stream, seq from dead where dead_us < :before_us and length(body) > 0"
    " /*here workspace_id*/ limit :chunk"
)


def since(connection: Connection, workspace_id: int | None, since_us: int) -> int:
    """How many requests were given up since then, of one workspace or, for None, of all."""
    if workspace_id is None:
        return int(connection.execute(_SINCE_OF_ALL, {"since_us": since_us}).scalar_one())
    return int(connection.execute(_SINCE, {"workspace_id": workspace_id, "since_us": since_us}).scalar_one())


def bury(connection: Connection, workspace_id: int, request: Stored, reason: str, dead_us: int, done: int = 0) -> None:
    """Keep a request that cannot be applied, or what is left of it when `done` of its commands have taken effect."""
    connection.execute(
        _BURY,
        {
            "workspace_id": workspace_id,
            "stream": request.stream,
            "seq": request.seq,
            "kind": request.kind,
            "codec": request.codec,
            "body": request.body,
            "accepted_us": request.accepted_us,
            "dead_us": dead_us,
            "reason": reason,
            "done": done,
        },
    )


def get(connection: Connection, workspace_id: int, stream: int, seq: int) -> Letter | None:
    """The letter of a request, None when it is not dead."""
    row = connection.execute(_GET, {"workspace_id": workspace_id, "stream": stream, "seq": seq}).one_or_none()
    return None if row is None else Letter(*row)


def body(connection: Connection, workspace_id: int, stream: int, seq: int) -> Stored | None:
    """The whole request of a letter that was not sent again yet."""
    requests = _stored(connection, workspace_id, stream, [seq])
    return requests[0] if requests else None


def unsent(connection: Connection, now_us: int) -> dict[str, int]:
    """{name of a workspace: how many letters of it can be sent again}, of all workspaces that have any."""
    rows = connection.execute(_UNSENT, {"since_us": now_us - BODY_DAYS * DAY})
    return {row[0]: row[1] for row in rows}


def find(
    connection: Connection,
    workspace_id: int,
    limit: int,
    now_us: int,
    *,
    after_us: int = 0,
    reason: str | None = None,
    kind: int | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    replayed: bool | None = None,
    sendable: bool = False,
) -> list[Letter]:
    """Letters of the last BODY_DAYS in the order of their acceptance, which is different for any two of a workspace.

    `after_us` is the acceptance of the last letter of the page before. `from_us` is inclusive, `to_us` is not.
    `sendable` leaves out what `replay` would not send.
    """
    rows = connection.execute(
        _FIND,
        {
            "workspace_id": workspace_id,
            "after_us": after_us,
            "since_us": now_us - BODY_DAYS * DAY,
            "from_us": 0 if from_us is None else from_us,
            "to_us": 2**62 if to_us is None else to_us,
            "reason": reason,
            "kind": kind,
            "replayed": None if replayed is None else int(replayed),
            "sendable": int(sendable),
            "limit": limit,
        },
    )
    return [Letter(*row) for row in rows]


def replay(
    database: Database, workspace_id: int, letters: Sequence[Letter], deletion: int, now_us: int
) -> dict[tuple[int, int], int]:
    """Send letters again, in the given order: {(stream, seq): number of the new request} of those that have a body
    and were not sent again before.

    One transaction on PostgreSQL. On SQLite the inbox commits first, and if the process dies before the letters are
    marked, sending them again finds the same numbers for as long as idempotency keys are kept.

    `deletion` is the kind of a deletion. Raises DeletionPendingError when one is queued, and then nothing was sent.
    """
    sent: dict[tuple[int, int], int] = {}
    with database.write(database.inbox) as connection:
        # From here on no deletion gets a number before ours; the bodies are read behind those that were applied.
        inbox.hold(connection, workspace_id, STREAM_NORMAL)
        with nullcontext(connection) if database.is_postgresql else database.read() as other:
            locked = lane.read(other, workspace_id)
        if locked is not None and inbox.has_kind(
            connection, workspace_id, deletion, locked.cursors[STREAM_NORMAL], locked.hours[STREAM_NORMAL]
        ):
            raise DeletionPendingError
        with nullcontext(connection) if database.is_postgresql else database.read() as other:
            stored = {
                (request.stream, request.seq): request
                for stream in STREAMS
                for request in _stored(other, workspace_id, stream, [x.seq for x in letters if x.stream == stream])
            }
        wanted = [stored[x.stream, x.seq] for x in letters if (x.stream, x.seq) in stored]
        for stream in STREAMS:
            group = [request for request in wanted if request.stream == stream]
            if not group:
                continue
            entries = [Entry(x.kind, x.codec, x.body, _key(x)) for x in group]
            outcomes = idempotency.append(connection, workspace_id, stream, entries, now_us)
            for request, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, Appended | Repeated):
                    sent[stream, request.seq] = outcome.seq
        if database.is_postgresql:
            _mark(connection, workspace_id, sent, now_us)
    if not database.is_postgresql:
        with database.write() as connection:
            _mark(connection, workspace_id, sent, now_us)
    return sent


def forget_bodies(database: Database, now_us: int) -> int:
    """Drop the bodies of letters that are older than BODY_DAYS. Returns how many."""
    return blank_all(database, _OLD, {"before_us": now_us - BODY_DAYS * DAY})


def blank_all(database: Database, find: TextClause, values: dict[str, int]) -> int:
    """Drop the bodies of the letters that a query finds, a `chunk` of them at a time. Returns how many."""

    def part() -> int:
        with database.write() as connection:
            rows = connection.execute(find, {**values, "chunk": _BODIES_AT_ONCE}).all()
            for row in rows:
                connection.execute(_BLANK, {**row._asdict(), "nothing": b""})
            return len(rows)

    return repeat(part)


def whole(connection: Connection, workspace_id: int) -> Iterator[Stored]:
    """All letters that have a body, in the order of their acceptance, also replayed ones."""
    after_us = 0
    while rows := connection.execute(_WHOLE, {"workspace_id": workspace_id, "after_us": after_us}).all():
        after_us = rows[-1].accepted_us
        for row in rows:
            yield Stored(row.stream, row.seq, row.kind, row.codec, bytes(row.body), row.accepted_us)


def erase_bodies(connection: Connection, workspace_id: int, is_meant: Callable[[int, bytes], bool]) -> int:
    """Drop the bodies for which `is_meant(codec, body)` is true, also of replayed letters. Returns how many."""
    erased, after_us = 0, 0
    while rows := connection.execute(_WHOLE, {"workspace_id": workspace_id, "after_us": after_us}).all():
        after_us = rows[-1].accepted_us
        for row in rows:
            if is_meant(row.codec, bytes(row.body)):
                place = {"workspace_id": workspace_id, "stream": row.stream, "seq": row.seq, "nothing": b""}
                connection.execute(_BLANK, place)
                erased += 1
    return erased


def _stored(connection: Connection, workspace_id: int, stream: int, seqs: list[int]) -> list[Stored]:
    rows = connection.execute(_BODIES, {"workspace_id": workspace_id, "stream": stream, "seqs": seqs})
    requests = [Stored(x.stream, x.seq, x.kind, x.codec, bytes(x.body), x.accepted_us) for x in rows]
    return [request for request in requests if request.body]


def _key(request: Stored) -> IdempotencyKey:
    place = b"replay of %d/%d" % (request.stream, request.seq)
    return IdempotencyKey(blake2b(place, digest_size=16).digest(), b"")


def _mark(connection: Connection, workspace_id: int, sent: dict[tuple[int, int], int], now_us: int) -> None:
    rows: list[dict[str, Any]] = [
        {"workspace_id": workspace_id, "stream": stream, "seq": seq, "replayed_seq": replayed_seq, "now_us": now_us}
        for (stream, seq), replayed_seq in sent.items()
    ]
    if rows:
        connection.execute(_MARK, rows)
