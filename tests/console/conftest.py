"""The console of each store, and a workspace of its own for every test."""

import pytest

from tests.api.fixtures import answer_seconds, on_citus, on_postgres, on_sqlite, service, workspace
from tests.api.harness import Service
from tests.console.desk import Desk

__all__ = ["answer_seconds", "on_citus", "on_postgres", "on_sqlite", "service", "workspace"]


@pytest.fixture(scope="module")
def desk(service: Service) -> Desk:
    return Desk(service)
