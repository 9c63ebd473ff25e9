"""The services of both stores."""

from tests.api.fixtures import on_postgres, on_sqlite

__all__ = ["on_postgres", "on_sqlite"]
