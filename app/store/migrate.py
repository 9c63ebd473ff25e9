"""Migrations: `python -m app.store.migrate URL` brings a database up to date, `--check` proves that none is missing."""

import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from app.store import distribution, origin, statistics, tables
from app.store.engine import SQLITE_BUSY_MS, Database, is_locked

MIGRATIONS: Final = Path(__file__).parent / "migrations"

INBOX: Final = "inbox"
MAIN: Final = "main"
#: How long to wait for another process that is at it.
WAIT_SECONDS: Final = 3600.0

_LOCK: Final = 727003
#: SQLite: how long any other writer may take before we say that we wait.
_SHORT_MS: Final = 500


class MigratingError(Exception):
    """Another process has been migrating the database for longer than we may wait."""


def upgrade(database: Database, wait_seconds: float = WAIT_SECONDS, on_wait: Callable[[], None] = lambda: None) -> None:
    """Create or update all tables. Any number of processes may call it at once: one works, the others wait for it.

    They wait for as long as it lives, but at most `wait_seconds`; `on_wait` is called before. Raises MigratingError.
    """
    parts = {database.main: (MAIN,)}
    parts[database.inbox] = (*parts.get(database.inbox, ()), INBOX)
    for engine, names in parts.items():
        run = _run_postgresql if database.is_postgresql else _run_sqlite
        run(database, engine, names, wait_seconds, on_wait)


def is_current(database: Database) -> bool:
    """Whether the database has the newest schema of this code."""
    newest = _newest()
    engines = {database.main, database.inbox}
    found = set()
    for engine in engines:
        with database.read(engine) as connection:
            found.add(MigrationContext.configure(connection).get_current_revision())
    return found == {newest}


def knows(revision: str) -> bool:
    """Whether a schema is one that this code can bring up to date: its newest one, or one before."""
    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


@cache
def _newest() -> str | None:
    """The newest revision of this code, for which all migrations have to be read."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


@contextmanager
def alone(
    database: Database, wait_seconds: float = WAIT_SECONDS, on_wait: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """PostgreSQL: a transaction in which nobody else changes the schema, with no limit on the time of a statement, nor
    between two.

    The lock is taken before anything is looked at, and given back by the commit, or by the end of the process. Raises
    MigratingError.
    """
    with database.main.connect() as connection, connection.begin():
        connection.exec_driver_sql(
            "select set_config('statement_timeout', '0', true),"
            " set_config('idle_in_transaction_session_timeout', '0', true)"
        )
        if not connection.exec_driver_sql(f"select pg_try_advisory_xact_lock({_LOCK})").scalar_one():
            on_wait()
            connection.exec_driver_sql(f"set local lock_timeout = {_milliseconds(wait_seconds)}")
            try:
                connection.exec_driver_sql(f"select pg_advisory_xact_lock({_LOCK})")
            except OperationalError as error:
                if is_locked(error):
                    raise MigratingError from error
                raise
        connection.exec_driver_sql(f"set local lock_timeout = {_milliseconds(database.timeout_seconds)}")
        yield connection


def _run_postgresql(
    database: Database, _engine: Engine, parts: tuple[str, ...], wait_seconds: float, on_wait: Callable[[], None]
) -> None:
    with alone(database, wait_seconds, on_wait) as connection:
        _migrate(connection, parts)
        distribution.complete(connection)
        origin.begin(connection)
    statistics.forget_workspaces(database)


def _run_sqlite(
    _database: Database, engine: Engine, parts: tuple[str, ...], wait_seconds: float, on_wait: Callable[[], None]
) -> None:
    """Whoever migrates a file is its only writer."""
    for patience_ms in (_SHORT_MS, _milliseconds(wait_seconds)):
        with engine.connect().execution_options(onefold_write=True) as connection:
            _be_patient(connection, patience_ms)
            try:
                transaction = connection.begin()
            except OperationalError:
                if patience_ms == _SHORT_MS:
                    on_wait()
                    continue
                raise MigratingError from None
            finally:
                _be_patient(connection, SQLITE_BUSY_MS)
            with transaction:
                _migrate(connection, parts)
                if MAIN in parts:
                    origin.begin(connection)
            return


def _be_patient(connection: Connection, milliseconds: int) -> None:
    """Outside of any transaction, and before one that waits for its place."""
    driver = connection.connection.driver_connection
    if isinstance(driver, sqlite3.Connection):
        driver.execute(f"pragma busy_timeout = {milliseconds}")


def _milliseconds(seconds: float) -> int:
    return max(1, min(int(seconds * 1000), 2**31 - 1))


def _migrate(connection: Connection, parts: tuple[str, ...], revision: str = "head") -> None:
    config = _config()
    config.attributes["connection"] = connection
    config.attributes["parts"] = parts
    command.upgrade(config, revision)


def differences(database: Database) -> list[str]:
    """What the models say and the migrated database lacks, or the other way round."""
    found = []
    for engine, wanted in ((database.main, False), (database.inbox, True)):
        names = {
            name
            for name in SQLModel.metadata.tables
            if database.is_postgresql or (name in tables.INBOX_TABLES) is wanted
        }

        def include(_item: object, name: str | None, kind: str, _r: object, _to: object, n: set[str] = names) -> bool:
            return name in n if kind == "table" else True

        with database.read(engine) as connection:
            context = MigrationContext.configure(
                connection, opts={"include_object": include, "compare_type": not database.is_postgresql}
            )
            found += [str(difference) for difference in compare_metadata(context, SQLModel.metadata)]
    return found


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:///{folder}/check.db")
            upgrade(database)
            missing = differences(database)
            database.dispose()
        sys.stdout.write("".join(f"missing migration: {line}\n" for line in missing) or "migrations are current\n")
        return 1 if missing else 0
    database = Database(arguments[0])
    upgrade(database)
    database.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
