"""Reading the inbox from its end: what was asked for lately, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, text

from app.domain.times import DAY
from app.store.inbox import log as inbox
from app.store.inbox.log import Stored

#: As in app.store.inbox.log.read, the other way round, and of each body no more than `head` bytes.
_READ: Final = """
    select seq, kind, codec, body, accepted_us from (
        select seq, kind, codec, substr(body, 1, :head) as body, accepted_us, {least}(length(body), :head) as size,
               sum({least}(length(body), :head)) over (order by seq desc rows unbounded preceding) as total
        from inbox
        where workspace_id = :workspace_id and stream = :stream and seq < :before and seq >= :first and hour <= :hour
    ) i
    where total - size < :most
    order by seq desc
    """
_READ_POSTGRESQL: Final = text(_READ.format(least="least"))
_READ_SQLITE: Final = text(_READ.format(least="min"))
_DEAD: Final = text(
    "select seq, reason, replayed_seq from dead where workspace_id = :workspace_id and stream = :stream"
    " and seq in :seqs"
).bindparams(bindparam("seqs", expanding=True))
_PROBLEMS: Final = text(
    "select seq, doc from problem where workspace_id = :workspace_id and stream = :stream and seq in :seqs"
    " and day in :days"
).bindparams(bindparam("seqs", expanding=True), bindparam("days", expanding=True))

#: The whole of any body.
WHOLE: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request that is applied."""

    #: (input_array, index, field, reason) of what had no effect.
    skipped: list[tuple[str, int, str, str]]
    #: Class of the error of a request that could not be applied; None = it could.
    dead: str | None = None
    #: Number of the request that it was sent as again, in the same stream.
    replayed_seq: int | None = None


def read(
    connection: Connection, workspace_id: int, stream: int, before: int, hour: int, limit: int, head: int, most: int
) -> list[Stored]:
    """The last `limit` requests before number `before`, the latest one first; fewer where the inbox begins, and where
    the ones behind have `most` bytes or more. Of each body the first `head` bytes.

    `hour` is an upper bound, so that new partitions are not opened.
    """
    values = {
        "workspace_id": workspace_id,
        "stream": stream,
        "before": before,
        "first": before - limit,
        "hour": hour,
        "head": head,
        "most": most,
    }
    statement = _READ_POSTGRESQL if connection.dialect.name == "postgresql" else _READ_SQLITE
    rows = connection.execute(statement, values)
    return [Stored(stream, row.seq, row.kind, row.codec, bytes(row.body), row.accepted_us) for row in rows]


def before(connection: Connection, workspace_id: int, stream: int, us: int) -> int:
    """The number behind the last request that was accepted before a moment."""
    low, high = inbox.oldest(connection, workspace_id, stream), inbox.head(connection, workspace_id, stream) + 1
    while low < high:  # everything before `low` is older, nothing from `high` on is
        middle = (low + high) // 2
        accepted_us = inbox.accepted_us(connection, workspace_id, stream, middle)
        if accepted_us is None or accepted_us < us:
            low = middle + 1
        else:
            high = middle
    return low


def outcomes(connection: Connection, workspace_id: int, stream: int, accepted: Mapping[int, int]) -> dict[int, Outcome]:
    """{number: what became of it} of {number: when it was accepted} of applied requests."""
    if not accepted:
        return {}
    values = {"workspace_id": workspace_id, "stream": stream, "seqs": sorted(accepted)}
    dead = {row.seq: (row.reason, row.replayed_seq) for row in connection.execute(_DEAD, values)}
    days = sorted({us // DAY for us in accepted.values()})
    skipped: dict[int, list[tuple[str, int, str, str]]] = {
        row.seq: msgspec.json.decode(row.doc, type=list[tuple[str, int, str, str]])
        for row in connection.execute(_PROBLEMS, {**values, "days": days})
    }
    return {seq: Outcome(skipped.get(seq, []), *dead.get(seq, (None, None))) for seq in accepted}
