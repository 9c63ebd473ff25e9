"""SQLite's log: how large it becomes, and what it keeps, is a setting."""

from pathlib import Path

import pytest
from sqlalchemy import text

from app.bootstrap import background
from app.settings import Settings
from app.store.engine import Database, inbox_file
from tests.busy import accept
from tests.stores import prepare, workspace


@pytest.mark.parametrize("megabytes", [1, 3])
def test_the_log_is_as_large_as_the_setting_says(tmp_path: Path, megabytes: int) -> None:
    """Of both files, though ten times as much is written; a transaction of its own may pass it."""
    settings = Settings(data_dir=tmp_path, DATABASE_URL="", sqlite_log_megabytes=megabytes)
    prepare(settings.database())
    main = tmp_path / "onefold.db"
    database = background.working(settings)
    number = workspace(database)
    largest = 0
    for n in range(megabytes * 100):
        accept(database, number, n)
        for engine in (database.main, database.inbox):
            with database.write(engine) as connection:
                connection.execute(text("create table if not exists filling (n integer primary key, b blob)"))
                connection.execute(text("insert into filling (b) values (zeroblob(100000))"))
        largest = max(
            largest, *(file.with_name(f"{file.name}-wal").stat().st_size for file in (main, inbox_file(main)))
        )
    assert megabytes * 900_000 < largest < (megabytes + 1) * 1_000_000
    database.dispose()


def test_every_process_has_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, DATABASE_URL="", sqlite_log_megabytes=2)
    for database in (background.applying(settings), background.working(settings)):
        for engine in (database.main, database.inbox):
            with database.read(engine) as connection:
                found = [
                    connection.exec_driver_sql(f"pragma {name}").scalar()
                    for name in ("wal_autocheckpoint", "journal_size_limit")
                ]
            assert found == [488, 2_000_000]
        database.dispose()
    database = Database(settings.database())
    with database.read() as connection:
        assert connection.exec_driver_sql("pragma page_size").scalar() == 4_096
    database.dispose()
