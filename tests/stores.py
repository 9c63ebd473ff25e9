"""Both stores under one suite: `@pytest.mark.parametrize` is not needed, a test just asks for `database`."""

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.store import migrate, partitions, workspaces
from app.store.engine import Database
from tests.distributed import STORES, distributed, drop
from tests.polling import until
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


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a database with the newest schema, to copy: to migrate takes four times as long."""
    name = "onefold_template"
    prepare(postgres_server.create_database(name))
    return name


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of a database with the newest schema, to copy."""
    folder = tmp_path_factory.mktemp("template")
    prepare(f"sqlite:///{folder / 'onefold.db'}")
    return folder


@pytest.fixture(params=STORES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A new database with the newest schema, once on each store, and on several nodes with TEST_CITUS_URL."""
    if request.param == "sqlite":
        shutil.copytree(request.getfixturevalue("sqlite_template"), tmp_path, dirs_exist_ok=True)
        found = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    elif request.param == "citus":
        found = Database(distributed(NOW_US))
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        template = request.getfixturevalue("postgres_template")
        found = Database(server.create_database(f"t{next(_numbers)}", template))
    yield found
    # A thread that reads ahead may still have a connection. Whatever comes back behind `dispose`, nobody closes.
    until(lambda: not any(engine.pool.checkedout() for engine in (found.main, found.inbox)))  # type: ignore[attr-defined]
    found.dispose()
    if request.param == "citus":
        drop(found.url)


def prepare(url: str) -> None:
    """Give a new database the newest schema."""
    database = Database(url)
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    database.dispose()


def workspace(database: Database, name: str = "w") -> int:
    """The number of a new workspace."""
    return workspaces.number(workspaces.create(database, name, "legacy", NOW_US))
