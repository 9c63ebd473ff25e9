"""Row 3, the floor of applying: rewriting existing rows with nothing else to do. One client, asynchronous commit."""

import random
import time

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from bench import data
from bench.options import Options
from bench.stack import Stack
from bench.table import Row

ROWS, BATCH = 50_000, 1000
#: The floor that stands beside what a worker applies: a whole profile at its fastest.
WHOLE = "whole 2.4 KB profile, bytes lz4"
_VARIANTS = (
    ("whole 2.4 KB profile, jsonb lz4", "jsonb", 0),
    (WHOLE, "bytea", 0),
    ("one 1 KB section, bytes", "bytea", 1000),
    ("one 300 B section, bytes", "bytea", 300),
)


def measure(stack: Stack, options: Options) -> list[Row]:
    """Only on PostgreSQL."""
    if stack.postgres is None:
        return []
    rows = []
    with psycopg.connect(stack.postgres.dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        for label, column, size in _VARIANTS:
            documents = [_document(n, size) for n in range(2000)]
            rate = _rewrites(connection, column, documents, options)
            rows.append(Row(f"rewrite {label}", rate, "rows/s", notes="floor: one client, asynchronous commit"))
    return rows


def _document(number: int, size: int) -> bytes:
    return b"x" * size if size else msgspec.json.encode(data.sections(number))


def _rewrites(connection: psycopg.Connection, column: str, documents: list[bytes], options: Options) -> float:
    rng, compression = random.Random(options.seed), "external" if len(documents[0]) <= 1000 else "lz4"
    storage = "set storage external" if compression == "external" else "set compression lz4"
    connection.execute("drop table if exists rewritten, fresh")
    connection.execute(
        f"create table rewritten (workspace_id int, pid bigint, doc {column} not null, primary key (workspace_id, pid))"
        " with (fillfactor = 70)"
    )
    connection.execute(f"alter table rewritten alter doc {storage}")
    connection.execute(f"create temp table fresh (pid bigint, doc {column})")
    _copy(connection, "rewritten (workspace_id, pid, doc)", column, documents, range(ROWS), (1,))
    connection.execute("vacuum analyze rewritten")
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < max(2.0, options.seconds / 2):
        with connection.transaction():
            connection.execute("truncate fresh")
            _copy(connection, "fresh (pid, doc)", column, documents, sorted(rng.sample(range(ROWS), BATCH)))
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


def _as_is(document: bytes) -> bytes:
    return document
