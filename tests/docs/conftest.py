"""The service and a workspace of its own for every test."""

from tests.api.fixtures import on_postgres, on_sqlite, service, workspace

__all__ = ["on_postgres", "on_sqlite", "service", "workspace"]
