"""Both stores under one suite: `@pytest.mark.parametrize` is not needed, a test just asks for `database`."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store import migrate, partitions, workspaces
from app.store.engine import Database
from tests.servers import PostgresServer

_numbers = itertools.count(1)
NOW_US = 1_795_000_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new and empty database, once on each store."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'onefold.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.create_database(f"t{next(_numbers)}")


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A new database with the newest schema."""
    found = Database(database_url)
    migrate.upgrade(found)
    partitions.prepare(found, NOW_US)
    yield found
    found.dispose()


def workspace(database: Database, name: str = "w") -> int:
    """The number of a new workspace."""
    return workspaces.number(workspaces.create(database, name, "legacy", NOW_US))
