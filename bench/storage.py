"""Whole documents or sections? The mix of the bench applied in both ways, by prototypes without the rest of Onefold.

Whole: one document per profile, read, changed and rewritten for every touched profile. Sections: a narrow row that
always changes, and sections that are read and rewritten only when an object concerns them, as app/store does it.
"""

import random
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from bench import data
from bench.options import Options
from bench.stack import Stack
from bench.table import Row, say

BATCH = 1000
SIZES = (("2.4 KB", False, 20_000), ("17 KB", True, 4_000))
SECTIONS = ("custom", "events", "purchases")
#: Sections beside the narrow row; the others are never touched by the mix.
STORED = ("core", *SECTIONS, "devices")
Document = dict[str, Any]

_encode, _decode = msgspec.json.encode, msgspec.json.decode


class Documents(Protocol):
    """A store of documents by (pid, part); part "" is the whole, "row" the narrow row."""

    def create(self, parts: Sequence[str], rows: Iterable[tuple[int, str, bytes]]) -> None: ...
    def begin(self) -> None: ...
    def read(self, part: str, pids: list[int]) -> dict[int, bytes]: ...
    def write(self, part: str, documents: dict[int, bytes]) -> None: ...
    def commit(self) -> None: ...
    def log_bytes(self) -> int: ...


def measure(stack: Stack, options: Options) -> Iterator[Row]:
    seconds = options.share(2, 2.0)
    for label, large, most in SIZES:
        count = min(most, options.users) if options.quick else most
        for name, store in _stores(stack, label):
            found = {}
            for parts in (("",), ("row", *STORED)):
                store.create(parts, _rows(parts, count, large=large))
                found[len(parts) > 1] = _run(store, count, seconds, options.seed, whole=parts == ("",))
            (whole, whole_log), (sections, sections_log) = found[False], found[True]
            notes = f"floor: whole documents. Log written per profile: {sections_log:,.0f} B against {whole_log:,.0f} B"
            say(f"  {label}, {name}: sections {sections:,.0f}, whole {whole:,.0f} profiles/s. {notes}")
            yield Row(f"sections, {label} profiles, {name}", sections, "profiles/s", whole, notes)


def _stores(stack: Stack, label: str) -> Iterable[tuple[str, Documents]]:
    if stack.postgres is None:
        yield "SQLite", SqliteDocuments(stack.folder / f"storage-{label.replace(' ', '')}.db")
        return
    for column in ("jsonb", "bytea"):
        yield f"PostgreSQL {column} lz4", PostgresDocuments(stack.postgres.dsn, column)


def _rows(parts: Sequence[str], count: int, *, large: bool) -> Iterable[tuple[int, str, bytes]]:
    for number in range(count):
        document = data.sections(number, large=large)
        for part in parts:
            yield number, part, _encode(document[part] if part else document)


def _run(store: Documents, count: int, seconds: float, seed: int, *, whole: bool) -> tuple[float, float]:
    """Profiles a second, and bytes of log per profile."""
    rng = random.Random(seed)
    log, touched, began = store.log_bytes(), 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        wanted: dict[int, set[str]] = {}
        for _ in range(BATCH):
            kind = rng.random()
            part = "custom" if kind < 0.7 else "events" if kind < 0.9 else "purchases"
            wanted.setdefault(rng.randrange(count), set()).add(part)
        store.begin()
        if whole:
            _apply_whole(store, wanted, rng)
        else:
            _apply_sections(store, wanted, rng)
        store.commit()
        touched += len(wanted)
    return touched / elapsed, (store.log_bytes() - log) / touched


def _apply_whole(store: Documents, wanted: dict[int, set[str]], rng: random.Random) -> None:
    changed = {}
    for pid, stored in store.read("", sorted(wanted)).items():
        document = _decode(stored)
        document["row"]["updated_us"] += 1
        for part in wanted[pid]:
            _change(part, document[part], rng)
        changed[pid] = _encode(document)
    store.write("", changed)


def _apply_sections(store: Documents, wanted: dict[int, set[str]], rng: random.Random) -> None:
    rows = {}
    for pid, stored in store.read("row", sorted(wanted)).items():
        row = _decode(stored)
        row["updated_us"] += 1
        rows[pid] = _encode(row)
    store.write("row", rows)
    for part in SECTIONS:
        changed = {}
        for pid, stored in store.read(part, sorted(pid for pid, parts in wanted.items() if part in parts)).items():
            document = _decode(stored)
            _change(part, document, rng)
            changed[pid] = _encode(document)
        store.write(part, changed)


def _change(part: str, document: Document, rng: random.Random) -> None:
    if part == "custom":
        document["visits"] += 1
        document["field_1"] = rng.randrange(10**6)
    else:
        document[rng.choice(list(document))][0] += 1


class PostgresDocuments:
    """One table per part. Written as fast as psycopg can: COPY into a temporary table, then one update."""

    def __init__(self, dsn: str, column: str) -> None:
        self._column = column
        self._connection = psycopg.connect(dsn)
        self._connection.execute("set synchronous_commit = off")
        self._connection.commit()

    def create(self, parts: Sequence[str], rows: Iterable[tuple[int, str, bytes]]) -> None:
        for part in parts:
            self._connection.execute(f"drop table if exists d_{part}, t_{part}")
            self._connection.execute(
                f"create table d_{part} (pid bigint primary key, doc {self._column} not null) with (fillfactor = 70)"
            )
            self._connection.execute(f"alter table d_{part} alter doc set compression lz4")
            self._connection.execute(f"create temp table t_{part} (pid bigint, doc {self._column})")
        by_part: dict[str, dict[int, bytes]] = {part: {} for part in parts}
        for pid, part, document in rows:
            by_part[part][pid] = document
        for part, documents in by_part.items():
            self._copy(f"d_{part}", documents)
        self._connection.commit()
        self._connection.autocommit = True
        self._connection.execute("vacuum analyze")
        self._connection.autocommit = False

    def begin(self) -> None:
        """psycopg begins by itself."""

    def read(self, part: str, pids: list[int]) -> dict[int, bytes]:
        as_bytes = "doc" if self._column == "bytea" else "cast(doc as text)"
        query = f"select pid, {as_bytes} from d_{part} where pid = any(%s)"
        return dict(self._connection.execute(query, (pids,), prepare=True, binary=True).fetchall())

    def write(self, part: str, documents: dict[int, bytes]) -> None:
        self._connection.execute(f"truncate t_{part}")
        self._copy(f"t_{part}", documents)
        self._connection.execute(f"update d_{part} d set doc = t.doc from t_{part} t where d.pid = t.pid", prepare=True)

    def commit(self) -> None:
        self._connection.commit()

    def log_bytes(self) -> int:
        row = self._connection.execute("select pg_current_wal_insert_lsn() - '0/0'").fetchone()
        self._connection.commit()
        assert row is not None
        return int(row[0])

    def _copy(self, table: str, documents: dict[int, bytes]) -> None:
        with self._connection.cursor().copy(f"copy {table} (pid, doc) from stdin (format binary)") as copy:
            copy.set_types(["int8", self._column])
            for pid, document in documents.items():
                copy.write_row((pid, document if self._column == "bytea" else Jsonb(document, dumps=bytes)))


class SqliteDocuments:
    """One table per part, asynchronous commit. The log is not reset while it is measured."""

    def __init__(self, path: Path) -> None:
        self._wal = path.with_name(path.name + "-wal")
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = wal", "synchronous = normal", "cache_size = -65536"):
            self._connection.execute(f"pragma {pragma}")

    def create(self, parts: Sequence[str], rows: Iterable[tuple[int, str, bytes]]) -> None:
        self._connection.execute("pragma wal_autocheckpoint = 1000")
        self.begin()
        for part in parts:
            self._connection.execute(f"create table d_{part} (pid integer primary key, doc text not null)")
        for pid, part, document in rows:
            self._connection.execute(f"insert into d_{part} values (?, ?)", (pid, document.decode()))
        self.commit()
        self._connection.execute("pragma wal_checkpoint(truncate)")
        self._connection.execute("pragma wal_autocheckpoint = 0")

    def begin(self) -> None:
        self._connection.execute("begin immediate")

    def read(self, part: str, pids: list[int]) -> dict[int, bytes]:
        query = f"select d.pid, d.doc from json_each(?) k cross join d_{part} d on d.pid = k.value"
        return dict(self._connection.execute(query, (_encode(pids).decode(),)).fetchall())

    def write(self, part: str, documents: dict[int, bytes]) -> None:
        rows = ((document.decode(), pid) for pid, document in documents.items())
        self._connection.executemany(f"update d_{part} set doc = ? where pid = ?", rows)

    def commit(self) -> None:
        self._connection.execute("commit")

    def log_bytes(self) -> int:
        return self._wal.stat().st_size
