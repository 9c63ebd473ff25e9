"""Writing many rows in one statement.

PostgreSQL gets them as an array for each column (app.store.binary). SQLite gets an executemany, which is a C loop as
well.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, Boolean, Connection, Integer, text
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from app.store.binary import Numbers, Texts

_PG: Final = postgresql.dialect()  # type: ignore[no-untyped-call]

#: The rows `value` of a parameter :pids, a JSON array of numbers.
EACH_POSTGRESQL: Final = "jsonb_array_elements_text(cast(:pids as jsonb)) as each(value)"
EACH_SQLITE: Final = "json_each(:pids) as each"


Statement = tuple[str, tuple[Any, ...]]
"""Of psycopg: a text, and its parameters."""


class BulkWrite:
    """Insert rows of one workspace, or update those that exist. Rows are dicts of column -> value, all alike."""

    def __init__(
        self,
        model: type[SQLModel],
        *,
        update: Sequence[str] = (),
        add: Sequence[str] = (),
        also: str = "",
    ) -> None:
        """Where the primary key exists, `update` names the columns to overwrite and `add` those to add to.

        Without either that is an error. `also`: PostgreSQL runs this in the same statement, an insert that selects from
        `r`, the rows.
        """
        table = SQLModel.metadata.tables[str(model.__tablename__)]
        names = [column.name for column in table.columns if column.name != "workspace_id"]
        keys = [column.name for column in table.primary_key.columns]
        types = {column.name: column.type.compile(dialect=_PG) for column in table.columns}
        conflict = ""
        if update or add:
            assignments = ", ".join(
                [f"{name} = excluded.{name}" for name in update]
                + [f"{name} = {table.name}.{name} + excluded.{name}" for name in add]
            )
            conflict = f" on conflict ({', '.join(keys)}) do update set {assignments}"
        columns = ", ".join(names)
        numbers = [isinstance(table.columns[name].type, (Integer, Boolean)) for name in names]
        arrays = ", ".join(f"cast(%s as {'bigint[]' if is_number else 'text[]'})" for is_number in numbers)
        selected = ", ".join(
            f"r.{name} <> 0" if isinstance(table.columns[name].type, Boolean) else f"cast(r.{name} as {types[name]})"
            for name in names
        )
        placeholders = ", ".join(f":{name}" for name in names)
        self._names, self._numbers = names, numbers
        into = f"insert into {table.name} (workspace_id, {columns})"
        many = f"from unnest({arrays}) as r({columns})"
        self._postgresql = f"{into} select %s, {selected} {many}{conflict}"
        if also:
            plain = ", ".join(f"r.{name}" for name in names)
            here = f"beside as ({also}) {into} select r.workspace_id, {plain} from r{conflict}"
            row = f"r(workspace_id, {columns})"
            self._postgresql = f"with {row} as materialized (select cast(%s as bigint), {selected} {many}), {here}"
        self._sqlite = text(
            f"insert into {table.name} (workspace_id, {columns}) values (:workspace_id, {placeholders}){conflict}"
        )
        self._documents = [column.name for column in table.columns if isinstance(column.type, JSON)]

    def run(self, connection: Connection, workspace_id: int, rows: list[dict[str, Any]]) -> None:
        """Write the rows. Inside `pipelined` the error of a statement may be raised by a later one."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            execute(connection, self.statements(workspace_id, rows))
            return
        self._encode_documents(rows)
        for row in rows:
            row["workspace_id"] = workspace_id
        connection.execute(self._sqlite, rows)

    def _encode_documents(self, rows: list[dict[str, Any]]) -> None:
        for name in self._documents:
            for row in rows:
                if row[name] is not None:
                    row[name] = encode(row[name])

    def statements(self, workspace_id: int, rows: list[dict[str, Any]]) -> Iterator[Statement]:
        """What writes the rows to PostgreSQL."""
        self._encode_documents(rows)
        if rows:
            columns = [
                (Numbers if is_number else Texts).of([row[name] for row in rows])
                for name, is_number in zip(self._names, self._numbers, strict=True)
            ]
            yield self._postgresql, (workspace_id, *columns)


def execute(connection: Connection, statements: Iterable[Statement]) -> None:
    """Run statements on PostgreSQL, past SQLAlchemy, whose results do not know psycopg's pipeline."""
    driver: Any = connection.connection.driver_connection
    for statement, values in statements:
        driver.execute(statement, values)


@contextmanager
def pipelined(connection: Connection) -> Iterator[None]:
    """A block of bulk writes: PostgreSQL works on one while we encode the next. Ends when all are done.

    Nothing that SQLAlchemy executes may use the connection inside. Raises the first error of any of them.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    driver: Any = connection.connection.driver_connection
    with driver.pipeline():
        yield


def encode(value: object) -> str:
    """JSON text for a column or parameter."""
    return msgspec.json.encode(value).decode()
