"""Statements that a worker sends with each batch: to PostgreSQL they go past SQLAlchemy, which takes as long over a
small one as PostgreSQL does."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app.store.binary import fetched

#: A parameter of a statement, as SQLAlchemy writes it.
_NAMED: Final = re.compile(r"(?<!:):(\w+)")


def for_driver(statement: str) -> str:
    """A statement of SQLAlchemy, without `%` in it, as psycopg wants it."""
    return _NAMED.sub(r"%(\1)s", statement)


class Direct:
    """One statement."""

    def __init__(self, statement: str) -> None:
        self._text = text(statement)
        self._driver = for_driver(statement)

    def rows(self, connection: Connection, values: Mapping[str, object]) -> Sequence[Any]:
        """What it returns, as tuples."""
        if connection.dialect.name == "postgresql":
            return fetched(connection, self._driver, values)
        return connection.execute(self._text, values).all()

    def row(self, connection: Connection, values: Mapping[str, object]) -> Any | None:
        """The one tuple that it returns, if any."""
        found = self.rows(connection, values)
        return found[0] if found else None

    def write(self, connection: Connection, values: Mapping[str, object]) -> int:
        """How many rows it wrote."""
        if connection.dialect.name == "postgresql":
            driver: Any = connection.connection.driver_connection
            return int(driver.execute(self._driver, values).rowcount)
        return int(connection.execute(self._text, values).rowcount)
