"""The inbox: accepted requests of a workspace, numbered without gaps in the order of their commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import msgspec
from psycopg.pq import Format
from sqlalchemy import Connection, text

from app.domain.commands import STREAM_NORMAL, STREAMS, StreamKey
from app.domain.times import HOUR
from app.store.binary import fetched
from app.store.engine import WAIT_FOR_DISK
from app.store.pooler import is_distributed


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's name for a request, and the answer that the request got: see app.store.inbox.idempotency.

    `status` is 0 where the answer is made from what became of the request. `answer` holds no value of a client: it is
    kept for a day whatever is erased meanwhile.
    """

    digest: bytes
    fingerprint: bytes
    status: int = 0
    answer: bytes = b""


@dataclass(frozen=True, slots=True)
class Entry:
    """A request to be accepted."""

    kind: int
    codec: int
    body: bytes
    idempotency: IdempotencyKey | None = None
    #: By what its calls are known, b"" = by nothing: see app.store.inbox.messages.
    messages: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """A request was stored: its number in its stream, and when it counts as accepted."""

    seq: int
    accepted_us: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """A request was not stored, since it repeats one: stream, number and answer of the first with its key."""

    stream: int
    seq: int
    #: As in IdempotencyKey.
    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """An accepted request as it lies in the inbox."""

    stream: int
    seq: int
    kind: int
    codec: int
    body: bytes
    accepted_us: int


class UnknownWorkspaceError(LookupError):
    """The workspace has no counter row: it was never created, or was deleted."""


# The row lock of inbox_head is held until the commit, so the order of numbers is the order of commits and a reader sees
# a prefix. The clock may step back or stand still: accepted_us never does. It advances by 2, and its lowest bit is the
# stream, so that no two requests of a workspace share an instant.
_APPEND: Final = """
    with n as (
        update inbox_head
        set head = head + %(k)s, last_us = greatest(%(now_us)s, last_us + 2) + 2 * (%(k)s - 1)
        where workspace_id = %(workspace_id)s and stream = %(stream)s
        returning head - %(k)s as base, last_us - 2 * (%(k)s - 1) as first_us {also}
    )
    insert into inbox (workspace_id, stream, seq, hour, kind, codec, body, accepted_us)
    select %(workspace_id)s, %(stream)s, n.base + e.ordinality, (n.first_us + 2 * (e.ordinality - 1)) / 3600000000,
           e.kind, e.codec, substring(b.bodies from e.start for e.size), n.first_us + 2 * (e.ordinality - 1)
    from n, (select cast(%(bodies)s as bytea) as bodies offset 0) b,
         unnest(cast(%(kinds)s as smallint[]), cast(%(codecs)s as smallint[]),
                cast(%(starts)s as int[]), cast(%(sizes)s as int[]))
         with ordinality as e(kind, codec, start, size, ordinality)
    returning seq, accepted_us
    """
_APPEND_POSTGRESQL: Final = _APPEND.format(also=f", {WAIT_FOR_DISK}")
_APPEND_DISTRIBUTED: Final = _APPEND.format(also="")
#: Its parameters where they have numbers instead of names, in this order.
_NUMBERED: Final = {
    "workspace_id": "bigint",
    "stream": "smallint",
    "k": "bigint",
    "now_us": "bigint",
    "kinds": "smallint[]",
    "codecs": "smallint[]",
    "starts": "int[]",
    "sizes": "int[]",
    "bodies": "bytea",
}
#: `append` as PostgreSQL prepares it: its parameters are those of `parameters`, its rows what `appended` takes.
APPEND: Final = _APPEND_POSTGRESQL % {
    name: f"cast(${number} as {kind})" for number, (name, kind) in enumerate(_NUMBERED.items(), 1)
}
FORMATS: Final = [Format.BINARY if name == "bodies" else Format.TEXT for name in _NUMBERED]
_BUMP_SQLITE = text(
    """
    update inbox_head
    set head = head + :k, last_us = max(:now_us, last_us + 2) + 2 * (:k - 1)
    where workspace_id = :workspace_id and stream = :stream
    returning head - :k as base, last_us - 2 * (:k - 1) as first_us
    """
)
_INSERT_SQLITE = text(
    """
    insert into inbox (workspace_id, stream, seq, hour, kind, codec, body, accepted_us)
    values (:workspace_id, :stream, :seq, :hour, :kind, :codec, :body, :accepted_us)
    """
)
_CREATE_HEAD = text(
    "insert into inbox_head (workspace_id, stream, head, last_us) values (:workspace_id, :stream, 0, :stream)"
    " on conflict do nothing"
)
_HEAD = text("select head from inbox_head where workspace_id = :workspace_id and stream = :stream")
_SET_HEAD = text("update inbox_head set head = :head where workspace_id = :workspace_id and stream = :stream")
_HOLD = text("select head from inbox_head where workspace_id = :workspace_id and stream = :stream for no key update")
_HAS_KIND = text(
    "select 1 from inbox where workspace_id = :workspace_id and stream = :stream and seq > :after and hour >= :hour"
    " and kind = :kind limit 1"
)
_OLDEST = text("select min(seq) from inbox where workspace_id = :workspace_id and stream = :stream")
_BOTH_HEADS = text("select stream, head from inbox_head where workspace_id = :workspace_id")
_HEADS = text("select workspace_id, stream, head from inbox_head where head > 0 /*here workspace_id*/")
_ACCEPTED = text("select accepted_us from inbox where workspace_id = :w and stream = :stream and seq = :seq")
# What does not fit is not sent: its length is known without reading it.
_READ: Final = """
    select {columns} from (
        select seq, kind, codec, body, accepted_us, length(body) as size,
               sum(length(body)) over (order by seq rows unbounded preceding) as total
        from inbox
        where workspace_id = {workspace_id} and stream = {stream} and seq > {after} and seq <= {upto} and hour >= {hour}
    ) i
    where total - size < {most}
    {order}
    """
_READ_NAMES: Final = ("workspace_id", "stream", "after", "upto", "hour", "most")
_READ_POSTGRESQL: Final = _READ.format(
    columns="seq, kind, codec, body, accepted_us",
    order="order by seq",
    **{name: f"%({name})s" for name in _READ_NAMES},
)
#: In one step (app.store.stacked says why): what is beside the bodies as JSON, and the bodies one behind the other.
_READ_SQLITE: Final = text(
    _READ.format(
        columns="json_group_array(json_array(seq, kind, codec, accepted_us, size)),"
        " cast(group_concat(body, '') as blob)",
        order="",
        **{name: f":{name}" for name in _READ_NAMES},
    )
)


def create_heads(connection: Connection, workspace_id: int) -> None:
    """The counter rows of a new workspace. Harmless when they exist."""
    for stream in STREAMS:
        connection.execute(_CREATE_HEAD, {"workspace_id": workspace_id, "stream": stream})


def append(
    connection: Connection, workspace_id: int, stream: int, entries: Sequence[Entry], now_us: int
) -> list[Appended]:
    """Number and insert requests, in the given order. They count as accepted once the transaction is committed.

    Raises UnknownWorkspaceError when the workspace has no counter row.
    """
    values = _values(workspace_id, stream, entries, now_us)
    if connection.dialect.name == "postgresql":
        # Past SQLAlchemy, which takes as long over this statement as PostgreSQL does.
        driver: Any = connection.connection.driver_connection
        statement = _APPEND_DISTRIBUTED if is_distributed(connection) else _APPEND_POSTGRESQL
        rows = driver.execute(statement, values | _packed(entries)).fetchall()
        return _appended(workspace_id, len(entries), rows)
    row = connection.execute(_BUMP_SQLITE, values).one_or_none()
    if row is None:
        raise UnknownWorkspaceError(workspace_id)
    appended = [Appended(row.base + 1 + i, row.first_us + 2 * i) for i in range(len(entries))]
    connection.execute(
        _INSERT_SQLITE,
        [
            {
                "workspace_id": workspace_id,
                "stream": stream,
                "seq": one.seq,
                "hour": one.accepted_us // HOUR,
                "kind": entry.kind,
                "codec": entry.codec,
                "body": entry.body,
                "accepted_us": one.accepted_us,
            }
            for one, entry in zip(appended, entries, strict=True)
        ],
    )
    return appended


def parameters(workspace_id: int, stream: int, entries: Sequence[Entry], now_us: int) -> list[bytes]:
    """Those of APPEND, in the FORMATS."""
    values = _values(workspace_id, stream, entries, now_us) | _packed(entries)
    return [_written(values[name]) for name in _NUMBERED]


def appended(workspace_id: int, entries: Sequence[Entry], rows: Sequence[tuple[bytes, ...]]) -> list[Appended]:
    """As `append`, of the rows of APPEND in PostgreSQL's binary format."""
    read = int.from_bytes
    return _appended(workspace_id, len(entries), [(read(seq, "big"), read(us, "big")) for seq, us in rows])


def _values(workspace_id: int, stream: int, entries: Sequence[Entry], now_us: int) -> dict[str, Any]:
    us = (now_us & ~1) | stream
    return {"workspace_id": workspace_id, "stream": stream, "k": len(entries), "now_us": us}


def _packed(entries: Sequence[Entry]) -> dict[str, Any]:
    sizes = [len(entry.body) for entry in entries]
    return {
        "kinds": [entry.kind for entry in entries],
        "codecs": [entry.codec for entry in entries],
        "starts": [1 + start for start in accumulate(sizes, initial=0)][:-1],
        "sizes": sizes,
        # One binary parameter: psycopg writes a list of bytes as text, in Python, which takes 15 ms for 64 bodies.
        "bodies": b"".join([entry.body for entry in entries]),
    }


def _written(value: int | list[int] | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"%d" % value if isinstance(value, int) else b"{%s}" % b",".join([b"%d" % one for one in value])


def _appended(workspace_id: int, count: int, rows: Sequence[tuple[int, int]]) -> list[Appended]:
    if len(rows) != count:
        raise UnknownWorkspaceError(workspace_id)
    return [Appended(seq, accepted_us) for seq, accepted_us in sorted(rows)]


def head(connection: Connection, workspace_id: int, stream: int) -> int:
    """Number of the last accepted request; 0 when there is none."""
    last = connection.execute(_HEAD, {"workspace_id": workspace_id, "stream": stream}).scalar()
    return int(last or 0)


def heads_of(connection: Connection, workspace_id: int) -> dict[int, int]:
    """{stream: number of the last accepted request} of a workspace that exists."""
    return {row.stream: int(row.head) for row in connection.execute(_BOTH_HEADS, {"workspace_id": workspace_id})}


def set_head(connection: Connection, workspace_id: int, stream: int, head: int) -> None:
    """Say which was the number of the last accepted request, in a transaction in which nobody else gets one."""
    connection.execute(_SET_HEAD, {"workspace_id": workspace_id, "stream": stream, "head": head})


def hold(connection: Connection, workspace_id: int, stream: int) -> None:
    """Nobody else gets a number of the stream before this transaction ends. On SQLite writing is enough for that."""
    if connection.dialect.name == "postgresql":
        connection.execute(_HOLD, {"workspace_id": workspace_id, "stream": stream})


def has_kind(connection: Connection, workspace_id: int, kind: int, after: int, hour: int) -> bool:
    """Whether a request of a kind lies behind number `after` of the normal stream. `hour` as in `read`."""
    values = {"workspace_id": workspace_id, "stream": STREAM_NORMAL, "after": after, "hour": hour}
    return connection.execute(_HAS_KIND, {**values, "kind": kind}).first() is not None


def oldest(connection: Connection, workspace_id: int, stream: int) -> int:
    """Number of the oldest request that is still there; 1 when there is none."""
    return int(connection.execute(_OLDEST, {"workspace_id": workspace_id, "stream": stream}).scalar() or 1)


def heads(connection: Connection) -> dict[StreamKey, int]:
    """{(workspace, stream): head} of every workspace that ever accepted something."""
    return {StreamKey(row.workspace_id, row.stream): row.head for row in connection.execute(_HEADS)}


def accepted_us(connection: Connection, workspace_id: int, stream: int, seq: int) -> int | None:
    """When a request was accepted, None once its row has aged out."""
    moment = connection.execute(_ACCEPTED, {"w": workspace_id, "stream": stream, "seq": seq}).scalar()
    return None if moment is None else int(moment)


def read(
    connection: Connection, workspace_id: int, stream: int, after: int, hour: int, limit: int, most: int = 2**40
) -> list[Stored]:
    """The next `limit` requests behind number `after`; fewer where the inbox ends, since numbers have no gaps, and
    where the ones before have `most` bytes or more.

    `hour` is a lower bound, so that old partitions are not opened.
    """
    values = dict(zip(_READ_NAMES, (workspace_id, stream, after, after + limit, hour, most), strict=True))
    if connection.dialect.name == "postgresql":
        rows = fetched(connection, _READ_POSTGRESQL, values)
        return [Stored(stream, seq, kind, codec, bytes(body), us) for seq, kind, codec, body, us in rows]
    heads, bodies = connection.execute(_READ_SQLITE, values).one()
    found, start = [], 0
    for seq, kind, codec, us, size in msgspec.json.decode(heads):
        found.append(Stored(stream, seq, kind, codec, bodies[start : start + size], us))
        start += size
    return sorted(found, key=lambda request: request.seq)
