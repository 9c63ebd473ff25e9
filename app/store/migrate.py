"""Migrations: `python -m app.store.migrate URL` brings a database up to date, `--check` proves that none is missing."""

import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlmodel import SQLModel

from app.store import tables
from app.store.engine import Database

MIGRATIONS: Final = Path(__file__).parent / "migrations"

INBOX: Final = "inbox"
MAIN: Final = "main"


def upgrade(database: Database) -> None:
    """Create or update all tables. Safe to call from several processes at once on PostgreSQL (advisory lock)."""
    if database.is_postgresql:
        _run(database.main, (MAIN, INBOX))
    else:
        _run(database.main, (MAIN,))
        _run(database.inbox, (INBOX,))


def is_current(database: Database) -> bool:
    """Whether the database has the newest schema of this code."""
    newest = _newest()
    engines = {database.main, database.inbox}
    found = set()
    for engine in engines:
        with database.read(engine) as connection:
            found.add(MigrationContext.configure(connection).get_current_revision())
    return found == {newest}


@cache
def _newest() -> str | None:
    """The newest revision of this code, for which all migrations have to be read."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _run(engine: Engine, parts: tuple[str, ...]) -> None:
    config = _config()
    with engine.connect().execution_options(onefold_write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("select pg_advisory_xact_lock(727003)")
            connection.exec_driver_sql("set local statement_timeout = 0")
        config.attributes["connection"] = connection
        config.attributes["parts"] = parts
        command.upgrade(config, "head")


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
