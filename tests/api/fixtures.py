"""Fixtures of everything that talks to the API: a service per store and test module."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import distributed
from tests.api.harness import ANSWER_SECONDS, Service, Workspace, running, settings_for
from tests.servers import PostgresServer, ValkeyServer
from tests.stores import NOW_US


@pytest.fixture(scope="module")
def answer_seconds() -> float:
    """How long an answer may take: on a busy machine longer than by default. A module may have one of its own."""
    return ANSWER_SECONDS


@pytest.fixture(scope="module")
def on_sqlite(
    sqlite_template: Path,
    valkey_server: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
    answer_seconds: float,
) -> Iterator[Service]:
    folder = shutil.copytree(sqlite_template, tmp_path_factory.mktemp("sqlite"), dirs_exist_ok=True)
    with running(settings_for("", valkey_server.url, folder, answer_seconds=answer_seconds)) as service:
        yield service


@pytest.fixture(scope="module")
def on_postgres(
    postgres_server: PostgresServer,
    postgres_template: str,
    valkey_server: ValkeyServer,
    tmp_path_factory: pytest.TempPathFactory,
    answer_seconds: float,
) -> Iterator[Service]:
    url = postgres_server.create_database(f"api_{uuid.uuid4().hex[:12]}", postgres_template)
    folder = tmp_path_factory.mktemp("postgres")
    with running(settings_for(url, valkey_server.url, folder, answer_seconds=answer_seconds)) as service:
        yield service


@pytest.fixture(scope="module")
def on_citus(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory, answer_seconds: float
) -> Iterator[Service]:
    url = distributed.distributed(NOW_US)
    folder = tmp_path_factory.mktemp("citus")
    with running(settings_for(url, valkey_server.url, folder, answer_seconds=answer_seconds)) as service:
        yield service
    distributed.drop(url)


@pytest.fixture(scope="module", params=[store.replace("postgresql", "postgres") for store in distributed.STORES])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(f"on_{request.param}")
    return found


@pytest.fixture
def workspace(service: Service) -> Workspace:
    """A workspace of its own for the test, on a plan without a combined limit that tests would trip over."""
    return service.workspace("legacy")
