"""Which errors of a store say nothing about the data."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from app.store import tables
from app.store.bulk import BulkWrite
from app.store.engine import DATABASE_ERRORS, Database, is_transient
from app.store.migrate import upgrade

_ERRORS: dict[BaseException, bool] = {
    sqlite3.OperationalError("database is locked"): True,
    sqlite3.InterfaceError("bad"): True,
    sqlite3.IntegrityError("UNIQUE constraint failed"): False,
    sqlite3.DataError("too big"): False,
    psycopg.OperationalError("gone"): True,
    psycopg.IntegrityError("twice"): False,
    OperationalError("", {}, sqlite3.OperationalError("locked")): True,
    IntegrityError("", {}, sqlite3.IntegrityError("twice")): False,
    MemoryError(): True,
    OSError(28, "no space"): True,
    ValueError(): False,
}


@pytest.mark.parametrize("error", _ERRORS, ids=repr)
def test_what_may_succeed_later(error: BaseException) -> None:
    assert is_transient(error) is _ERRORS[error]


def test_what_a_bulk_write_raises_on_sqlite(tmp_path: Path) -> None:
    """It goes past SQLAlchemy, whose errors these are not."""
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(database)
    write, rows = BulkWrite(tables.Name), [{"kind": 0, "name": "n", "id": 1}]
    with database.write() as connection:
        write.run(connection, 1, rows)
    with pytest.raises(DATABASE_ERRORS) as raised, database.write() as connection:
        write.run(connection, 1, [dict(row) for row in rows])
    assert not is_transient(raised.value)
    with closing(sqlite3.connect(tmp_path / "x.db")) as other, database.main.connect() as connection:
        other.execute("begin immediate")
        connection.connection.driver_connection.execute("pragma busy_timeout = 0")  # type: ignore[union-attr]
        with pytest.raises(DATABASE_ERRORS) as raised:
            write.run(connection, 2, [dict(row) for row in rows])
        assert is_transient(raised.value)
    database.dispose()
