"""What every test may use: real servers, started once for the whole run."""

import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine, event

from tests.docs.command import forking
from tests.e2e.service import Service, environment, up
from tests.missing import needed
from tests.pinned import Watched
from tests.servers import PostgresServer, ValkeyServer, postgres, valkey
from tests.stores import database, database_url, postgres_template, sqlite_template

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]  # fixtures for everybody

#: Memory that keeps files, and how much of it the servers of a whole run leave room for.
_MEMORY = "/dev/shm"
_ENOUGH = 8 * 2**30


#: Hypothesis measures both by the clock on the wall, and a shared machine stalls now and then.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])


def pytest_configure() -> None:
    """Put temporary files into memory where there is enough of it: hundreds of databases are made.

    Servers are killed here and no power is cut, so memory keeps what was committed as well as a disk does.
    """
    settings.load_profile("unhurried")
    event.listen(Engine, "connect", _watch)
    if "TMPDIR" not in os.environ and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
        os.environ["TMPDIR"] = tempfile.tempdir = _MEMORY


def _watch(driver: object, _record: object) -> None:
    if isinstance(driver, psycopg.Connection):
        driver.cursor_factory = Watched


def pytest_collection_finish() -> None:
    """Keep the collector off what stays until the end: 8,000 tests, and all that they import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests: work in a database of your own (`create_database`), and do not kill it."""
    with needed(postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A Valkey server for all tests: leave nothing behind in it, and do not kill it."""
    with needed(valkey()) as server:
        yield server


@pytest.fixture(scope="session")
def onefold(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A whole Onefold in its own processes, as `onefold up` starts it, on PostgreSQL: make a workspace of your own."""
    env = {
        "DATABASE_URL": postgres_server.create_database("onefold_up"),
        "ONEFOLD_DOCS": "true",
        "ONEFOLD_LOG_LEVEL": "debug",
    }
    with up(tmp_path_factory.mktemp("up"), "--demo", env=env) as service:
        yield service


@pytest.fixture(scope="session")
def forked_onefold() -> Iterator[str]:
    """`onefold`, forked from a process that has imported all of it: to start the real one takes two seconds of CPU."""
    env = environment({"COLUMNS": "200"})  # so that lines are not broken
    with tempfile.TemporaryDirectory(prefix="onefold-") as folder, forking(Path(folder), env) as found:
        yield str(found / "onefold")
