"""Idempotency keys: a repeat of a request finds the first one's number and answer, and is not accepted again.

A key is stored in the transaction that stores its request, so that both are there or neither. All uses of a key go to
one stream, whose counter row is locked while we look: no other flush can add the key between the look and the commit.
A key that is met again never makes a flush fail, so it cannot fail the requests of others in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text

from app.domain.times import DAY
from app.store.bulk import pipelined
from app.store.inbox import log as inbox
from app.store.inbox.log import Appended, Entry, IdempotencyKey, Repeated, UnknownWorkspaceError


class KeyReusedError(Exception):
    """The key was used before, with another body."""


Outcome = Appended | Repeated | KeyReusedError

_KNOWN: Final = text(
    "select digest, fingerprint, stream, seq, status, answer from idempotency"
    " where workspace_id = :workspace_id and digest in :digests"
).bindparams(bindparam("digests", expanding=True))
_KEEP: Final = text(
    """
    insert into idempotency (workspace_id, digest, day, fingerprint, stream, seq, status, answer)
    values (:workspace_id, :digest, :day, :fingerprint, :stream, :seq, :status, :answer)
    """
)
_LOCK_POSTGRESQL: Final = "select head from inbox_head where workspace_id = %s and stream = %s for no key update"
_KNOWN_POSTGRESQL: Final = (
    "select digest, fingerprint, stream, seq, status, answer from idempotency"
    " where workspace_id = %s and digest = any(%s::bytea[])"
)
_KEEP_POSTGRESQL: Final = """
    insert into idempotency (workspace_id, digest, day, fingerprint, stream, seq, status, answer)
    select %s, k.digest, %s, k.fingerprint, %s, k.seq, k.status, k.answer
    from unnest(%s::bytea[], %s::bytea[], %s::bigint[], %s::smallint[], %s::bytea[])
         as k(digest, fingerprint, seq, status, answer)
    """


@dataclass(frozen=True, slots=True)
class _First:
    """The first request with a key."""

    fingerprint: bytes
    repeated: Repeated

    def outcome(self, key: IdempotencyKey) -> Repeated | KeyReusedError:
        """What a later request with this key gets."""
        return self.repeated if self.fingerprint == key.fingerprint else KeyReusedError()


def append(
    connection: Connection, workspace_id: int, stream: int, entries: Sequence[Entry], now_us: int
) -> list[Outcome]:
    """As inbox.append, for entries of which some have a key: the same order, repeats with what the first one got.

    Raises UnknownWorkspaceError when the workspace has no counter row.
    """
    digests = list({entry.idempotency.digest for entry in entries if entry.idempotency is not None})
    with pipelined(connection):
        head, known = _look(connection, workspace_id, stream, digests)
        fresh: list[Entry] = []
        kept: list[tuple[int, IdempotencyKey]] = []
        # An integer is a position in `fresh`.
        outcomes: list[Outcome | int] = []
        for entry in entries:
            key = entry.idempotency
            first = known.get(key.digest) if key is not None else None
            if key is not None and first is not None:
                outcomes.append(first.outcome(key))
                continue
            outcomes.append(len(fresh))
            fresh.append(entry)
            if key is not None:
                seq = head + len(fresh)
                known[key.digest] = _First(key.fingerprint, Repeated(stream, seq, key.status, key.answer))
                kept.append((seq, key))
        if kept:
            _keep(connection, workspace_id, stream, kept, now_us // DAY)
        appended = inbox.append(connection, workspace_id, stream, fresh, now_us) if fresh else []
    return [appended[outcome] if isinstance(outcome, int) else outcome for outcome in outcomes]


def find(connection: Connection, workspace_id: int, key: IdempotencyKey) -> Repeated | None:
    """What the first request with this key and body got; None when there was none."""
    row = connection.execute(_KNOWN, {"workspace_id": workspace_id, "digests": [key.digest]}).first()
    outcome = None if row is None else _first(row).outcome(key)
    return outcome if isinstance(outcome, Repeated) else None


def _first(row: Any) -> _First:
    _, fingerprint, stream, seq, status, answer = row
    return _First(bytes(fingerprint), Repeated(stream, seq, status, bytes(answer)))


def _look(
    connection: Connection, workspace_id: int, stream: int, digests: list[bytes]
) -> tuple[int, dict[bytes, _First]]:
    """The stream's head, from now on locked, and the keys that are stored."""
    if connection.dialect.name == "postgresql":
        # The lock comes first, in a statement of its own: the second one then sees all that was committed under it.
        driver: Any = connection.connection.driver_connection
        locked = driver.execute(_LOCK_POSTGRESQL, (workspace_id, stream))
        keys = driver.execute(_KNOWN_POSTGRESQL, (workspace_id, digests))
        row = locked.fetchone()
        if row is None:
            raise UnknownWorkspaceError(workspace_id)
        return row[0], {bytes(row[0]): _first(row) for row in keys.fetchall()}
    rows = connection.execute(_KNOWN, {"workspace_id": workspace_id, "digests": digests})
    return inbox.head(connection, workspace_id, stream), {bytes(row.digest): _first(row) for row in rows}


def _keep(
    connection: Connection, workspace_id: int, stream: int, kept: list[tuple[int, IdempotencyKey]], day: int
) -> None:
    if connection.dialect.name == "postgresql":
        driver: Any = connection.connection.driver_connection
        keys = [key for _, key in kept]
        columns = (
            [key.digest for key in keys],
            [key.fingerprint for key in keys],
            [seq for seq, _ in kept],
            [key.status for key in keys],
            [key.answer for key in keys],
        )
        driver.execute(_KEEP_POSTGRESQL, (workspace_id, day, stream, *columns))
        return
    connection.execute(
        _KEEP,
        [
            {
                "workspace_id": workspace_id,
                "digest": key.digest,
                "day": day,
                "fingerprint": key.fingerprint,
                "stream": stream,
                "seq": seq,
                "status": key.status,
                "answer": key.answer,
            }
            for seq, key in kept
        ],
    )
