"""The services of both stores."""

from tests.api.fixtures import answer_seconds, on_postgres, on_sqlite

__all__ = ["answer_seconds", "on_postgres", "on_sqlite"]
