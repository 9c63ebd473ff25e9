"""Row 3, the floor of applying: rewriting existing rows with nothing else to do. One client, asynchronous commit."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Final

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from bench import data
from bench.options import Options
from bench.stack import Stack
from bench.table import Row

ROWS, BATCH = 50_000, 1000
QUICK_ROWS = 2_000
WHOLE: Final = "whole 2.4 KB profile, bytes lz4"
WHOLE_SQLITE: Final = "whole 2.4 KB profile, SQLite"
_VARIANTS: Final = {
    "whole 2.4 KB profile, jsonb lz4": ("jsonb", 0),
    WHOLE: ("bytea", 0),
    "one 1 KB section, bytes": ("bytea", 1000),
    "one 300 B section, bytes": ("bytea", 300),
}
_NOTES: Final = "floor: one client, asynchronous commit"

Rewrite = Callable[[float], float]
"""Rewrites for so many seconds; how many rows a second it were."""


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    """PostgreSQL in four variants; SQLite with whole profiles only."""
    seconds = options.share(2, 2.0)
    if stack.postgres is None:
        with whole(stack, options) as rewrite:
            yield Row(f"rewrite {WHOLE_SQLITE}", rewrite(seconds), "rows/s", notes=_NOTES)
        return
    for label in _VARIANTS:
        with _postgresql(stack.postgres.dsn, label, options) as rewrite:
            yield Row(f"rewrite {label}", rewrite(seconds), "rows/s", notes=_NOTES)


@contextmanager
def whole(stack: Stack, options: Options) -> Iterator[Rewrite]:
    """What stands beside that which a worker applies: whole profiles at their fastest, among as many as there are."""
    if stack.postgres is None:
        with _sqlite(stack, options) as rewrite:
            yield rewrite
    else:
        with _postgresql(stack.postgres.dsn, WHOLE, options) as rewrite:
            yield rewrite


def _count(options: Options, *, whole: bool) -> int:
    """Rows of a table. That which stands beside what is applied has at least one for each profile there."""
    if options.quick:
        return QUICK_ROWS
    return max(ROWS, options.users) if whole else ROWS


def _document(number: int, size: int) -> bytes:
    return b"x" * size if size else msgspec.json.encode(data.sections(number))


@contextmanager
def _postgresql(dsn: str, label: str, options: Options) -> Iterator[Rewrite]:
    column, size = _VARIANTS[label]
    documents = [_document(n, size) for n in range(2000)]
    count, rng = _count(options, whole=label == WHOLE), random.Random(options.seed)
    storage = "set storage external" if len(documents[0]) <= 1000 else "set compression lz4"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute("drop table if exists rewritten")
        connection.execute(
            f"create table rewritten (workspace_id int, pid bigint, doc {column} not null,"
            " primary key (workspace_id, pid)) with (fillfactor = 70, autovacuum_enabled = off)"
        )
        connection.execute(f"alter table rewritten alter doc {storage}")
        connection.execute(f"create temp table fresh (pid bigint, doc {column})")
        _copy(connection, "rewritten (workspace_id, pid, doc)", column, documents, range(count), (1,))
        connection.execute("vacuum analyze rewritten")

        def rewrite() -> None:
            with connection.transaction():
                connection.execute("truncate fresh")
                _copy(connection, "fresh (pid, doc)", column, documents, sorted(rng.sample(range(count), BATCH)))
                connection.execute(
                    "update rewritten r set doc = f.doc from fresh f where r.workspace_id = 1 and r.pid = f.pid",
                    prepare=True,
                )

        yield lambda seconds: _rate(rewrite, seconds)
        connection.execute("drop table rewritten, fresh")


def _rate(rewrite: Callable[[], None], seconds: float) -> float:
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        rewrite()
        done += BATCH
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


@contextmanager
def _sqlite(stack: Stack, options: Options) -> Iterator[Rewrite]:
    rng, count = random.Random(options.seed), _count(options, whole=True)
    documents = [_document(n, 0).decode() for n in range(2000)]
    path = stack.folder / "rewritten.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = wal", "synchronous = normal", "cache_size = -65536"):
            connection.execute(f"pragma {pragma}")
        connection.execute("create table rewritten (pid integer primary key, doc text not null)")
        connection.execute("begin")
        rows = ((n, documents[n % len(documents)]) for n in range(count))
        connection.executemany("insert into rewritten values (?, ?)", rows)
        connection.execute("commit")

        def rewrite() -> None:
            connection.execute("begin immediate")
            numbers = sorted(rng.sample(range(count), BATCH))
            fresh = ((documents[n % len(documents)], n) for n in numbers)
            connection.executemany("update rewritten set doc = ? where pid = ?", fresh)
            connection.execute("commit")

        yield lambda seconds: _rate(rewrite, seconds)


def _as_is(document: bytes) -> bytes:
    return document
