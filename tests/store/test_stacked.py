"""Many rows of SQLite in one step: the same as row by row."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine

from app.store.stacked import SIZES, Lengths, Packed, Stacked
from tests.fuzz.size import cases

_TABLE = "create table t (workspace_id, pid, name text, doc text, primary key (workspace_id, pid))"
_ROW = "insert into t (workspace_id, pid, name, doc) values (7, :pid, :name, :doc)"
_UPSERT = " on conflict (workspace_id, pid) do update set name = excluded.name, doc = excluded.doc"
_KINDS = st.sampled_from([None, "", "a", 'é"\\\n\t\u2028', "x" * 5_000, "\U0001f600"])
#: Around each length of a list.
_NUMBERS = st.one_of(st.sampled_from([n + d for n in SIZES for d in (-1, 0, 1)]), st.integers(0, 2_500))


@pytest.mark.parametrize(("width", "most"), [(1, 1024), (7, 1024), (8, 256), (31, 256), (32, 64), (2_047, 4)])
def test_lists_have_few_lengths(width: int, most: int) -> None:
    lengths = Lengths(width)
    assert lengths.sizes[-1] == most
    for rows in (0, 1, 3, 5, 20, 33, 300, 1_025, 2_600):
        portions = list(lengths.portions([(n,) * width for n in range(rows)]))
        assert all(size in lengths.sizes and len(values) == size * width for size, values in portions)
        assert [v for _, values in portions for v in values[::width] if v is not None] == list(range(rows))
        # At least half of each list is rows, and there are few lists.
        assert sum(size for size, _ in portions) < 2 * max(1, rows)
        assert len(portions) <= rows // most + len(SIZES)


@settings(deadline=None, max_examples=cases(40))
@given(_NUMBERS, _NUMBERS, st.data())
def test_rows_are_written_as_one_by_one(first: int, second: int, data: st.DataObject) -> None:
    """New ones, and such as are there; no more of them than there are."""
    name = data.draw(_KINDS)
    stacked = Stacked.insert("t", ("pid", "name", "doc"), {"doc"}, "pid", _UPSERT)
    with closing(sqlite3.connect(":memory:")) as one, closing(sqlite3.connect(":memory:")) as other:
        for connection in (one, other):
            connection.execute(_TABLE)
        for step, rows in enumerate((first, second)):
            written: list[dict[str, Any]] = [{"pid": n, "name": name, "doc": f"{step}.{n}"} for n in range(rows)]
            one.executemany(_ROW + _UPSERT, written)
            rows_of = [(row["pid"], row["name"], row["doc"].encode()) for row in written]
            for statement, values in stacked.statements(7, rows_of):
                other.execute(statement, values)
        everything = "select * from t order by pid"
        assert other.execute(everything).fetchall() == one.execute(everything).fetchall()


@settings(deadline=None, max_examples=cases(20))
@given(_NUMBERS, _NUMBERS)
def test_rows_are_updated_as_one_by_one(there: int, updated: int) -> None:
    """And no others: neither of other workspaces, nor such as are not there."""
    stacked = Stacked.update("t", ("pid",), ("doc", "name"), {"doc"})
    with closing(sqlite3.connect(":memory:")) as one, closing(sqlite3.connect(":memory:")) as other:
        for connection in (one, other):
            connection.execute(_TABLE)
            for number in (7, 8):
                filled = [{"pid": n, "name": "n", "doc": "d"} for n in range(there)]
                connection.executemany(_ROW.replace("(7,", f"({number},"), filled)
        rows = [{"pid": n, "doc": f"é{n}", "name": None if n % 2 else ""} for n in range(updated)]
        one.executemany("update t set name = :name, doc = :doc where workspace_id = 7 and pid = :pid", rows)
        for statement, values in stacked.statements(
            7, [(row["pid"], str(row["doc"]).encode(), row["name"]) for row in rows]
        ):
            other.execute(statement, values)
        everything = "select * from t order by workspace_id, pid"
        assert other.execute(everything).fetchall() == one.execute(everything).fetchall()


@pytest.mark.parametrize("rows", [1, 4, 1024])
@pytest.mark.parametrize("analyzed", [False, True])
def test_no_statement_looks_at_the_whole_table(rows: int, analyzed: bool) -> None:
    """Neither row by row, nor to know beforehand which rows are there."""
    written = [(n, "", "") for n in range(rows)]
    with closing(sqlite3.connect(":memory:")) as one:
        one.execute(_TABLE)
        one.executemany(_ROW, [{"pid": n, "name": "", "doc": ""} for n in range(20_000)])
        if analyzed:
            one.execute("analyze")
        ((update, values),) = Stacked.update("t", ("pid",), ("doc", "name"), ()).statements(7, written)
        explained = [(update, values)]
        for packed in (_PLAIN, _DOCS):
            statement = packed._statements[rows]
            explained.append((statement, [None] * statement.count("?")))
        for statement, given_ in explained:
            plan = " ".join(row[3] for row in one.execute(f"explain query plan {statement}", given_))
            assert "SEARCH t USING" in plan
            assert "SCAN t" not in plan
            assert "BLOOM" not in plan


def test_what_breaks_a_constraint_writes_nothing() -> None:
    stacked = Stacked.insert("t", ("pid", "name", "doc"), (), "pid", "")
    with closing(sqlite3.connect(":memory:")) as one:
        one.execute(_TABLE)
        ((statement, values),) = stacked.statements(7, [(n % 3, "", "") for n in range(4)])
        with pytest.raises(sqlite3.IntegrityError):
            one.execute(statement, values)
        assert one.execute("select count(*) from t").fetchone() == (0,)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path_factory.mktemp('packed') / Path('t.db')}")
    with engine.connect() as connection:
        connection.exec_driver_sql(_TABLE)
        for n, (pid, name, doc) in enumerate(_FILLED):
            connection.exec_driver_sql("insert into t values (?, ?, ?, ?)", (1 + n % 2, pid, name, doc))
        yield connection
    engine.dispose()


_DOCUMENTS = ['{"a":1.50,"b":[1,{"c":null}],"é":"\\u0007\\"","n":12345678901234567890}', "{}", None]
_FILLED: list[tuple[int, str | None, str | None]] = [
    (n, [None, "", 'q"\\\n', "é\U0001f600", "\0nul"][n % 5], _DOCUMENTS[n % 3]) for n in range(3_000)
]
_PLAIN = Packed("t.pid, t.name", (), "t", "t.workspace_id = :workspace_id and t.pid = k.m0", 1)
_DOCS = Packed(
    "t.pid, t.name",
    ("case when k.m1 <> 0 and t.pid < :below then t.doc end", "t.doc"),
    "t",
    "t.workspace_id = :workspace_id and t.pid = k.m0",
    2,
)


@settings(deadline=None, max_examples=cases(40))
@given(st.one_of(st.lists(st.integers(-1, 3_100), max_size=30), _NUMBERS.map(lambda n: list(range(n)))))
@example([5, 5, 5])
def test_rows_are_read_as_one_by_one(filled: Connection, pids: list[int]) -> None:
    """The documents as they were written, and None where there is none; of other workspaces nothing."""
    there = {pid: (name, doc) for n, (pid, name, doc) in enumerate(_FILLED) if n % 2 == 0}
    found = _PLAIN.run(filled, [(pid,) for pid in pids], {"workspace_id": 1})
    assert sorted(found) == [[n, pid, there[pid][0]] for n, pid in enumerate(pids) if pid in there]
    values = {"workspace_id": 1, "below": 1_000, "unused": 3}
    found = _DOCS.run(filled, [(pid, pid % 4) for pid in pids], values)
    expected: list[list[Any]] = []
    for n, pid in enumerate(pids):
        if pid in there:
            doc = there[pid][1]
            expected.append([n, pid, there[pid][0], doc if pid % 4 and pid < 1_000 else None, doc])
    assert sorted(found, key=lambda row: row[0]) == expected
