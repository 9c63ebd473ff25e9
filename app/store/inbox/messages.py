"""Message ids: by what calls of tracking SDKs are known, so that one which arrives again has no effect.

They are kept in the transaction that stores the request, under the lock of its stream's counter row, as idempotency
keys are: no other flush can accept the same call meanwhile. A batch may hold known and new calls, so the request is
stored in any case, and behind its body stands which of its calls are known.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text

from app.domain.times import DAY
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry

#: Whole days behind the present one for which an id is remembered.
DAYS: Final = 7
#: What stands behind a body for each call: app.contract.tracking.batch. Only KNOWN is written here.
KNOWN: Final = ord("\t")
#: The first bytes of a digest stand for the app.
APP_BYTES: Final = 8
#: Of an app that has too many, so many more are forgotten with each flush than it adds.
_SPARE: Final = 100
#: A flush may hold many large batches, and SQLite takes 32,766 values in a statement.
_MOST_AT_ONCE: Final = 10_000

_FIND: Final = text(
    "select digest from inbox_message where workspace_id = :workspace_id and digest in :digests and day >= :day"
).bindparams(bindparam("digests", expanding=True))
_FIND_POSTGRESQL: Final = text(
    "select digest from inbox_message where workspace_id = :workspace_id and digest = any(:digests) and day >= :day"
)
_LAST: Final = text("select max(n) from inbox_message where workspace_id = :workspace_id and app = :app")
_KEEP: Final = text(
    "insert into inbox_message (workspace_id, digest, day, app, n) values (:workspace_id, :digest, :day, :app, :n)"
)
# One statement for all of them: a batch has thousands, and other workspaces wait for the same commit.
_KEEP_POSTGRESQL: Final = text(
    "insert into inbox_message (workspace_id, digest, day, app, n)"
    " select :workspace_id, substring(d.digests from i * :bytes + 1 for :bytes), :day, :app, :last + i + 1"
    " from (select cast(:digests as bytea) as digests offset 0) d, generate_series(0, :count - 1) i"
)
# Numbers of an app have no gaps, so a range of them is a chunk. Were they matched with a list, a PostgreSQL that does
# not know yet how many there are would compare each with each.
_FORGET: Final = text(
    "delete from inbox_message where workspace_id = :workspace_id and app = :app and n <= :upto"
    " and n < :chunk + (select min(n) from inbox_message where workspace_id = :workspace_id and app = :app)"
)


def mark(
    connection: Connection, workspace_id: int, stream: int, entries: Sequence[Entry], now_us: int, most: int
) -> list[Entry]:
    """The entries, of which each says behind its body which of its calls are known, and remember the others.

    Of an app at most `most` ids are remembered: the oldest go. The counter row of the stream is locked from here on.
    """
    inbox.hold(connection, workspace_id, stream)
    day = now_us // DAY
    sent = {digest for entry in entries for digest in entry.messages if digest}
    known = _known(connection, workspace_id, sent, day - DAYS)
    fresh: dict[bytes, list[bytes]] = {}
    marked = []
    for entry in entries:
        marks = bytearray(entry.body[len(entry.body) - len(entry.messages) :])
        for n, digest in enumerate(entry.messages):
            if digest in known:
                marks[n] = KNOWN
            elif digest:
                known.add(digest)
                fresh.setdefault(digest[:APP_BYTES], []).append(digest)
        body = entry.body[: len(entry.body) - len(marks)] + marks if marks else entry.body
        marked.append(replace(entry, body=bytes(body)))
    for app, digests in fresh.items():
        _keep(connection, {"workspace_id": workspace_id, "app": app, "day": day}, digests, most)
    return marked


def _known(connection: Connection, workspace_id: int, digests: Iterable[bytes], day: int) -> set[bytes]:
    if not (wanted := sorted(digests)):
        return set()
    find = _FIND_POSTGRESQL if connection.dialect.name == "postgresql" else _FIND
    found: set[bytes] = set()
    for at in range(0, len(wanted), _MOST_AT_ONCE):
        part = wanted[at : at + _MOST_AT_ONCE]
        rows = connection.execute(find, {"workspace_id": workspace_id, "digests": part, "day": day})
        found.update(bytes(digest) for (digest,) in rows)
    return found


def _keep(connection: Connection, values: Mapping[str, Any], digests: Sequence[bytes], most: int) -> None:
    last = connection.execute(_LAST, values).scalar() or 0
    if connection.dialect.name == "postgresql":
        packed = {"digests": b"".join(digests), "bytes": len(digests[0]), "count": len(digests), "last": last}
        connection.execute(_KEEP_POSTGRESQL, {**values, **packed})
    else:
        connection.execute(_KEEP, [{**values, "digest": digest, "n": last + n} for n, digest in enumerate(digests, 1)])
    over = last + len(digests) - most
    if over > 0:
        connection.execute(_FORGET, {**values, "upto": over, "chunk": len(digests) + _SPARE})
