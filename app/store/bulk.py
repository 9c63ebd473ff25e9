"""Writing many rows in one statement.

PostgreSQL gets them as an array for each column (app.store.binary), SQLite as a list of values (app.store.stacked).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, Boolean, Connection, Integer, Text
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from app.store.binary import Numbers, Texts
from app.store.stacked import Stacked

_PG: Final = postgresql.dialect()  # type: ignore[no-untyped-call]

#: The rows `value` of a parameter :pids, a JSON array of numbers.
EACH_POSTGRESQL: Final = "jsonb_array_elements_text(cast(:pids as jsonb)) as each(value)"
EACH_SQLITE: Final = "json_each(:pids) as each"


Statement = tuple[str, Sequence[Any]]
"""Of a driver: a text, and its parameters."""

Row = tuple[Any, ...]
"""The values of a table's columns, in an order that whoever writes the rows declares."""


class _Bulk:
    """Rows of one workspace on their way into a table.

    A column of text may hold bytes instead, in all rows: texts that are encoded already.
    """

    def __init__(self, model: type[SQLModel], names: Sequence[str] | None = None) -> None:
        """`names` are the columns that rows have, in their order; unless given, all but the workspace's."""
        self._table = table = SQLModel.metadata.tables[str(model.__tablename__)]
        self._keys = [column.name for column in table.primary_key.columns]
        if names is None:
            names = [column.name for column in table.columns if column.name != "workspace_id"]
        columns = [table.columns[name] for name in names]
        self.names = tuple(names)
        self._row = itemgetter(*names)
        self._numbers = [isinstance(column.type, (Integer, Boolean)) for column in columns]
        self._documents = [place for place, column in enumerate(columns) if isinstance(column.type, JSON)]
        self._encodable = {column.name for column in columns if isinstance(column.type, (JSON, Text))}
        arrays = ", ".join(f"cast(%s as {'bigint[]' if is_number else 'text[]'})" for is_number in self._numbers)
        #: What PostgreSQL reads the rows from, and what it calls the value of each column there.
        self._rows = f"unnest({arrays}) as r({', '.join(names)})"
        self._values = {
            column.name: f"r.{column.name} <> 0"
            if isinstance(column.type, Boolean)
            else f"cast(r.{column.name} as {column.type.compile(dialect=_PG)})"
            for column in columns
        }
        self._postgresql = ""
        self._stacked: Stacked

    def run(self, connection: Connection, workspace_id: int, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows, dicts of column -> value. Inside `pipelined` the error of a statement may be raised by a later
        one."""
        self.write(connection, workspace_id, self.rows(rows))

    def write(self, connection: Connection, workspace_id: int, rows: Sequence[Row]) -> None:
        """As `run`, of rows that have the columns in their order."""
        execute(connection, self.statements(workspace_id, rows, connection.dialect.name))

    def rows(self, rows: Iterable[dict[str, Any]]) -> list[Row]:
        """Of dicts of column -> value."""
        return list(map(self._row, rows))

    def statements(self, workspace_id: int, rows: Sequence[Row], dialect: str) -> Iterator[Statement]:
        """What writes the rows to PostgreSQL or SQLite, by the name of its dialect."""
        if not rows:
            return
        if dialect != "postgresql":
            if self._documents:
                rows = list(zip(*self._columns(rows), strict=True))
            yield from self._stacked.statements(workspace_id, rows)
            return
        columns = [
            (Numbers if is_number else Texts).of(values)
            for values, is_number in zip(self._columns(rows), self._numbers, strict=True)
        ]
        yield self._postgresql, self._parameters(workspace_id, columns)

    def _columns(self, rows: Sequence[Row]) -> list[Sequence[Any]]:
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        for place in self._documents:
            columns[place] = [None if value is None else encoded(value) for value in columns[place]]
        return columns

    def _parameters(self, workspace_id: int, columns: list[Any]) -> tuple[Any, ...]:
        return workspace_id, *columns


class BulkWrite(_Bulk):
    """Insert rows of one workspace, or update those that exist."""

    def __init__(
        self,
        model: type[SQLModel],
        names: Sequence[str] | None = None,
        *,
        update: Sequence[str] = (),
        add: Sequence[str] = (),
        also: str = "",
    ) -> None:
        """Where the primary key exists, `update` names the columns to overwrite and `add` those to add to.

        Without either that is an error. `also`: PostgreSQL runs this in the same statement, an insert that selects from
        `r`, the rows.
        """
        super().__init__(model, names)
        table = self._table.name
        conflict = ""
        if update or add:
            assignments = ", ".join(
                [f"{name} = excluded.{name}" for name in update]
                + [f"{name} = {table}.{name} + excluded.{name}" for name in add]
            )
            conflict = f" on conflict ({', '.join(self._keys)}) do update set {assignments}"
        columns, selected = ", ".join(self.names), ", ".join(self._values.values())
        into = f"insert into {table} (workspace_id, {columns})"
        self._postgresql = f"{into} select %s, {selected} from {self._rows}{conflict}"
        if also:
            plain = ", ".join(f"r.{name}" for name in self.names)
            here = f"beside as ({also}) {into} select r.workspace_id, {plain} from r{conflict}"
            row = f"r(workspace_id, {columns})"
            rows = f"select cast(%s as bigint), {selected} from {self._rows}"
            self._postgresql = f"with {row} as materialized ({rows}), {here}"
        self._stacked = Stacked.insert(table, self.names, self._encodable, self._keys[1], conflict)


class BulkUpdate(_Bulk):
    """Overwrite columns of rows that exist; rows without one are left out."""

    def __init__(self, model: type[SQLModel], columns: Sequence[str]) -> None:
        """Rows have these columns, and those of the primary key."""
        table = SQLModel.metadata.tables[str(model.__tablename__)]
        keys = [column.name for column in table.primary_key.columns if column.name != "workspace_id"]
        super().__init__(model, [*keys, *columns])
        changes = ", ".join(f"{name} = {self._values[name]}" for name in columns)
        found = " and ".join(f"t.{key} = {self._values[key]}" for key in keys)
        self._postgresql = (
            f"update {table.name} t set {changes} from {self._rows} where t.workspace_id = %s and {found}"
        )
        self._stacked = Stacked.update(table.name, keys, columns, self._encodable)

    def _parameters(self, workspace_id: int, columns: list[Any]) -> tuple[Any, ...]:
        return *columns, workspace_id


Rows = tuple[BulkWrite | BulkUpdate, Sequence[Row]]
"""Rows of one table, and what writes them."""


def execute(connection: Connection, statements: Iterable[Statement]) -> None:
    """Run statements past SQLAlchemy, which knows no pipeline of psycopg, and looks at each value by itself."""
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
    return encoded(value).decode()


#: The same as bytes, for rows.
encoded: Final = msgspec.json.encode
