"""Writing many rows in one statement.

PostgreSQL gets them as one JSON document and jsonb_to_recordset: 2.5 times as fast as bound arrays, since the document
is made in C. SQLite gets an executemany, which is a C loop as well.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import JSON, Connection, text
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

_PG: Final = postgresql.dialect()  # type: ignore[no-untyped-call]

#: The rows `value` of a parameter :pids, a JSON array of numbers.
EACH_POSTGRESQL: Final = "jsonb_array_elements_text(cast(:pids as jsonb)) as each(value)"
EACH_SQLITE: Final = "json_each(:pids) as each"

#: Characters of a text that is large.
LARGE: Final = 64 * 1024


class BulkWrite:
    """Insert rows of one workspace, or update those that exist. Rows are dicts of column -> value, all alike."""

    def __init__(
        self,
        model: type[SQLModel],
        *,
        update: Sequence[str] = (),
        add: Sequence[str] = (),
        large: str = "",
        also: str = "",
    ) -> None:
        """Where the primary key exists, `update` names the columns to overwrite and `add` those to add to.

        Without either that is an error. `large` names a column whose text may have megabytes. Such a row has a
        statement of its own on PostgreSQL: inside one document its text would be escaped, parsed and copied again.
        `also`: PostgreSQL runs this in the same statement, an insert that selects from `r`, the rows.
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
        record = ", ".join(f"{name} {types[name]}" for name in names)
        selected = ", ".join(f"r.{name}" for name in names)
        placeholders = ", ".join(f":{name}" for name in names)
        self._names, self._large = names, large
        into = f"insert into {table.name} (workspace_id, {columns})"
        values = ", ".join(f"cast(%s as {types[name]})" for name in names)
        many = f"from jsonb_to_recordset(cast(%s as jsonb)) as r({record})"
        self._postgresql = f"{into} select %s, {selected} {many}{conflict}"
        self._one = f"{into} values (%s, {values}){conflict}"
        if also:
            here = f"beside as ({also}) {into} select r.workspace_id, {selected} from r{conflict}"
            row = f"r(workspace_id, {columns})"
            self._postgresql = f"with {row} as materialized (select cast(%s as bigint), {selected} {many}), {here}"
            self._one = f"with {row} as materialized (values (cast(%s as bigint), {values})), {here}"
        self._sqlite = text(
            f"insert into {table.name} (workspace_id, {columns}) values (:workspace_id, {placeholders}){conflict}"
        )
        self._documents = [column.name for column in table.columns if isinstance(column.type, JSON)]

    def run(self, connection: Connection, workspace_id: int, rows: list[dict[str, Any]]) -> None:
        """Write the rows. Inside `pipelined` the error of a statement may be raised by a later one."""
        if not rows:
            return
        if connection.dialect.name == "postgresql":
            # Past SQLAlchemy, whose results do not know psycopg's pipeline.
            driver: Any = connection.connection.driver_connection
            if self._large:
                large = [row for row in rows if len(row[self._large]) > LARGE]
                rows = [row for row in rows if len(row[self._large]) <= LARGE]
                for row in large:
                    driver.execute(self._one, (workspace_id, *(row[name] for name in self._names)))
            if rows:
                driver.execute(self._postgresql, (workspace_id, encode(rows)))
            return
        for row in rows:
            row["workspace_id"] = workspace_id
            for name in self._documents:
                if row[name] is not None:
                    row[name] = encode(row[name])
        connection.execute(self._sqlite, rows)


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
