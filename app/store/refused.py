"""Requests that were refused: one row each, and one for many where there are too many of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, text

from app.domain.times import DAY
from app.store.chunks import CHUNK, repeat
from app.store.engine import Database
from app.store.workspace_deletions import begun

ErrorEntry = tuple[str, str, int, str]
"""(type, input_array, index, code). The index is -1 for an error of the whole request."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that was refused, whole or in part; or several, of which no more is known than how many."""

    workspace_id: int
    us: int
    key_name: str
    endpoint: str
    status: int
    errors: tuple[ErrorEntry, ...]
    #: Digests of app.contract.named, one behind the other.
    named: bytes = b""
    count: int = 1
    #: Where the rest of it stands in the inbox; number 0 = nothing was accepted.
    stream: int = 0
    seq: int = 0
    #: Tells requests of the same instant apart: by chance, so that no two API processes have to agree.
    n: int = 0


@dataclass(frozen=True, slots=True)
class Keeping:
    """Rows that are kept of a workspace, and for how long."""

    rows: int
    days: int


_ADD: Final = text(
    """
    insert into refused_request
        (workspace_id, us, n, key_name, endpoint, status, count, errors, named, stream, seq)
    values (:workspace_id, :us, :n, :key_name, :endpoint, :status, :count, :errors, :named, :stream, :seq)
    on conflict do nothing
    """
)
_COLUMNS: Final = "workspace_id, us, key_name, endpoint, status, errors, named, count as number, stream, seq, n"
_BACK: Final = text(
    f"select {_COLUMNS} from refused_request where workspace_id = :workspace_id and us >= :from_us"
    " and (us, n) < (:us, :n) order by us desc, n desc limit :limit"
)
_OLDEST: Final = text("select min(us) from refused_request where workspace_id = :workspace_id")
_NEXT_WORKSPACE: Final = text(
    "select min(workspace_id) from refused_request where workspace_id > :workspace_id /*here workspace_id*/"
)
_CUT: Final = text(
    "select us from refused_request where workspace_id = :workspace_id order by us desc, n desc limit 1 offset :rows"
)
_DELETE: Final = text(
    "delete from refused_request where workspace_id = :workspace_id and (workspace_id, us, n) in"
    " (select workspace_id, us, n from refused_request where workspace_id = :workspace_id and us <= :us"
    " order by us, n limit :chunk)"
)

#: Behind every row.
LAST: Final = (2**63 - 1, 2**63 - 1)


def add(connection: Connection, rows: Sequence[Refused]) -> None:
    """Store them; again is harmless. Those of workspaces that are being deleted are left out."""
    deleted = begun(connection, [row.workspace_id for row in rows])
    values = [
        {
            "workspace_id": row.workspace_id,
            "us": row.us,
            "n": row.n,
            "key_name": row.key_name,
            "endpoint": row.endpoint,
            "status": row.status,
            "count": row.count,
            "errors": msgspec.json.encode(row.errors).decode(),
            "named": row.named,
            "stream": row.stream,
            "seq": row.seq,
        }
        for row in rows
        if row.workspace_id not in deleted
    ]
    if values:
        connection.execute(_ADD, values)


def read_back(
    connection: Connection, workspace_id: int, before: tuple[int, int], from_us: int, limit: int
) -> list[Refused]:
    """The last `limit` rows before (us, n), the latest one first, none older than `from_us`."""
    us, n = before
    values = {"workspace_id": workspace_id, "us": us, "n": n, "from_us": from_us, "limit": limit}
    return [
        Refused(
            workspace_id=row.workspace_id,
            us=row.us,
            key_name=row.key_name,
            endpoint=row.endpoint,
            status=row.status,
            errors=msgspec.json.decode(row.errors, type=tuple[ErrorEntry, ...]),
            named=bytes(row.named),
            count=row.number,
            stream=row.stream,
            seq=row.seq,
            n=row.n,
        )
        for row in connection.execute(_BACK, values)
    ]


def oldest(connection: Connection, workspace_id: int) -> int | None:
    """When the oldest of them that is kept was refused; None where none is."""
    us = connection.execute(_OLDEST, {"workspace_id": workspace_id}).scalar()
    return None if us is None else int(us)


def trim(database: Database, now_us: int, keeping: Keeping) -> int:
    """Delete what is too old, and of each workspace what is too much; how many rows went."""
    return sum(_trim(database, each, now_us - keeping.days * DAY, keeping.rows) for each in _workspaces(database))


def _workspaces(database: Database) -> Iterator[int]:
    workspace_id: int | None = -1
    while True:
        with database.read() as connection:
            workspace_id = connection.execute(_NEXT_WORKSPACE, {"workspace_id": workspace_id}).scalar()
        if workspace_id is None:
            return
        yield workspace_id


def _trim(database: Database, workspace_id: int, before_us: int, rows: int) -> int:
    with database.read() as connection:
        cut = connection.execute(_CUT, {"workspace_id": workspace_id, "rows": rows}).scalar()
    values = {"workspace_id": workspace_id, "us": max(before_us, -1 if cut is None else int(cut)), "chunk": CHUNK}

    def part() -> int:
        with database.write() as connection:
            return connection.execute(_DELETE, values).rowcount

    with database.read() as connection:
        found = connection.execute(_OLDEST, {"workspace_id": workspace_id}).scalar()
    return repeat(part) if found is not None and int(found) <= values["us"] else 0
