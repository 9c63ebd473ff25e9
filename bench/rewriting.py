"""Row 3, the floor of applying: rewriting existing rows with nothing else to do. One client, asynchronous commit."""

import random
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from bench import data
from bench.options import Options
from bench.stack import Stack
from bench.table import Row

ROWS, BATCH = 50_000, 1000
QUICK_ROWS = 2_000
#: The floor that stands beside what a worker applies: a whole profile at its fastest.
WHOLE = "whole 2.4 KB profile, bytes lz4"
WHOLE_SQLITE = "whole 2.4 KB profile, SQLite"
_VARIANTS = (
    ("whole 2.4 KB profile, jsonb lz4", "jsonb", 0),
    (WHOLE, "bytea", 0),
    ("one 1 KB section, bytes", "bytea", 1000),
    ("one 300 B section, bytes", "bytea", 300),
)


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """PostgreSQL in four variants; SQLite with whole profiles only."""
    if stack.postgres is None:
        rate = _sqlite_rewrites(stack.folder / "rewritten.db", options)
        yield Row(f"rewrite {WHOLE_SQLITE}", rate, "rows/s", notes="floor: one client, asynchronous commit")
        return
    with psycopg.connect(stack.postgres.dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        for label, column, size in _VARIANTS:
            documents = [_document(n, size) for n in range(2000)]
            count = _count(options, whole=label == WHOLE)
            rate = _rewrites(connection, column, documents, options, count)
            yield Row(f"rewrite {label}", rate, "rows/s", notes="floor: one client, asynchronous commit")


def _count(options: Options, *, whole: bool) -> int:
    """Rows of a table. That which stands beside what is applied has at least one for each profile there."""
    if options.quick:
        return QUICK_ROWS
    return max(ROWS, options.users) if whole else ROWS


def _document(number: int, size: int) -> bytes:
    return b"x" * size if size else msgspec.json.encode(data.sections(number))


def _rewrites(
    connection: psycopg.Connection, column: str, documents: list[bytes], options: Options, count: int
) -> float:
    rng = random.Random(options.seed)
    compression = "external" if len(documents[0]) <= 1000 else "lz4"
    storage = "set storage external" if compression == "external" else "set compression lz4"
    connection.execute("drop table if exists rewritten, fresh")
    connection.execute(
        f"create table rewritten (workspace_id int, pid bigint, doc {column} not null, primary key (workspace_id, pid))"
        " with (fillfactor = 70)"
    )
    connection.execute(f"alter table rewritten alter doc {storage}")
    connection.execute(f"create temp table fresh (pid bigint, doc {column})")
    _copy(connection, "rewritten (workspace_id, pid, doc)", column, documents, range(count), (1,))
    connection.execute("vacuum analyze rewritten")
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < options.share(2, 2.0):
        with connection.transaction():
            connection.execute("truncate fresh")
            _copy(connection, "fresh (pid, doc)", column, documents, sorted(rng.sample(range(count), BATCH)))
            connection.execute(
                "update rewritten r set doc = f.doc from fresh f where r.workspace_id = 1 and r.pid = f.pid",
                prepare=True,
            )
        done += BATCH
    connection.execute("drop table rewritten, fresh")
    return done / elapsed


def _copy(
    connection: psycopg.Connection,
    target: str,
    column: str,
    documents: list[bytes],
    numbers: range | list[int],
    before: tuple[int, ...] = (),
) -> None:
    with connection.cursor().copy(f"copy {target} from stdin (format binary)") as copy:
        copy.set_types([*(["int4"] * len(before)), "int8", column])
        for number in numbers:
            document = documents[number % len(documents)]
            copy.write_row((*before, number, document if column == "bytea" else Jsonb(document, dumps=_as_is)))


def _sqlite_rewrites(path: Path, options: Options) -> float:
    rng, count = random.Random(options.seed), _count(options, whole=True)
    documents = [_document(n, 0).decode() for n in range(2000)]
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = wal", "synchronous = normal", "cache_size = -65536"):
            connection.execute(f"pragma {pragma}")
        connection.execute("create table rewritten (pid integer primary key, doc text not null)")
        connection.execute("begin")
        rows = ((n, documents[n % len(documents)]) for n in range(count))
        connection.executemany("insert into rewritten values (?, ?)", rows)
        connection.execute("commit")
        done, began = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < options.share(2, 2.0):
            connection.execute("begin immediate")
            numbers = sorted(rng.sample(range(count), BATCH))
            fresh = ((documents[n % len(documents)], n) for n in numbers)
            connection.executemany("update rewritten set doc = ? where pid = ?", fresh)
            connection.execute("commit")
            done += BATCH
        return done / elapsed
    finally:
        connection.close()


def _as_is(document: bytes) -> bytes:
    return document
