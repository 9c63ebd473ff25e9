"""The service and a workspace of its own for every test."""

from tests.api.fixtures import answer_seconds, on_citus, on_postgres, on_sqlite, service, workspace

__all__ = ["answer_seconds", "on_citus", "on_postgres", "on_sqlite", "service", "workspace"]
