"""A database with data of every revision of the schema, brought up to date: nothing is lost, what waited is applied."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from alembic.script import ScriptDirectory
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.types import TypeEngine

from app.contract import kinds
from app.contract.track import CODEC_AS_SENT
from app.domain.times import HOUR
from app.store import lane, migrate, partitions, workspaces
from app.store.engine import Database
from app.store.profiles.dump import dump
from tests.busy import applier_of
from tests.stores import NOW_US, workspace
from workers import replay

#: Numbers of workspaces that have a row in every table, beside which nothing is ever done.
FILLED: Final = 10_000
BODY: Final = b'{"attributes":[{"external_id":"ada","sum":{"inc":1}},{"external_id":"bob","n":1}]}'
#: Values that no type tells.
KNOWN: Final[dict[tuple[str, str], object]] = {
    ("profile_value", "part"): 1,
    ("problem", "doc"): '[["attributes",0,"f","r"]]',
}
#: What a later migration writes anew, on purpose.
REWRITTEN: Final = {"problem": {"doc"}, "webhook_message": {"doc"}, "value_filling": {"used_us"}, "lane": {"values_at"}}
#: Of what is accepted, and waits: written by name below.
QUEUE: Final = frozenset(("workspace", "lane", "inbox", "inbox_head", "applied"))

Rows = dict[tuple[str, int], dict[str, Any]]


def test_data_of_every_revision(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    waiting, filled = {}, Rows()
    *earlier, newest = revisions()
    for n, revision in enumerate(earlier, 1):
        climb(database, revision)
        waiting[revision] = accept(database, f"of {revision}")
        filled |= fill(database, n)
    migrate.upgrade(database)
    assert migrate.is_current(database), newest
    assert migrate.differences(database) == []

    assert changed(database, filled) == []
    partitions.prepare(database, NOW_US)
    waiting[newest] = workspace(database, "new")
    applier, found = applier_of(database), {}
    for revision, number in waiting.items():
        applier.drain(number)
        assert replay.differences(database, number, workspaces.secret(database, number)) == [], revision
        with database.read() as connection:
            profiles = dump(connection, number).profiles.values()
            cursors = lane.cursors(connection)
        found[revision] = {str(one.external_id): one.custom for one in profiles}
        assert all(cursors[key] == 2 for key in cursors if key.workspace_id == number and revision != newest), revision
    assert found == {**{one: {"ada": {"sum": 4}, "bob": {"n": 1}} for one in earlier}, newest: {}}
    database.dispose()


def revisions() -> list[str]:
    """All of them, from the first one on."""
    scripts = ScriptDirectory.from_config(migrate._config()).walk_revisions()
    return [script.revision for script in scripts][::-1]


def engines(database: Database) -> Iterator[tuple[Engine, tuple[str, ...]]]:
    """Each with the parts of the schema that are in it."""
    if database.is_postgresql:
        yield database.main, (migrate.MAIN, migrate.INBOX)
    else:
        yield from ((database.main, (migrate.MAIN,)), (database.inbox, (migrate.INBOX,)))


def climb(database: Database, revision: str) -> None:
    for engine, parts in engines(database):
        with database.write(engine) as connection:
            migrate._migrate(connection, parts, revision)


def accept(database: Database, name: str) -> int:
    """A workspace of the present revision with two requests in each stream, as the API of that day stored them."""
    with database.write() as connection:
        tables = reflected(connection, "workspace", "lane")
        put(connection, tables["workspace"], 0, name=name, plan="legacy", secret=b"k" * 32)
        found = connection.execute(text("select id from workspace where name = :name"), {"name": name})
        number = int(found.scalar_one())
        put(connection, tables["lane"], 0, workspace_id=number, settings={})
    with database.write(database.inbox) as connection:
        tables = reflected(connection, "inbox_head", "inbox")
        for stream in (0, 1):
            last_us = NOW_US + stream + 2
            head = {"workspace_id": number, "stream": stream, "head": 2, "last_us": last_us}
            put(connection, tables["inbox_head"], 0, **head)
            for seq in (1, 2):
                us = last_us - 2 * (2 - seq)
                place = {"workspace_id": number, "stream": stream, "seq": seq, "hour": us // HOUR, "accepted_us": us}
                sent = {"kind": kinds.TRACK, "codec": CODEC_AS_SENT, "body": BODY}
                put(connection, tables["inbox"], 0, **place, **sent)
    return number


def fill(database: Database, n: int) -> Rows:
    """A row in every other table that the present revision has."""
    found = Rows()
    for engine, _ in engines(database):
        with database.write(engine) as connection:
            for name, table in reflected(connection).items():
                if name not in QUEUE and "workspace_id" in table.c:
                    found[name, n] = put(connection, table, n, workspace_id=FILLED + n)
    return found


def changed(database: Database, filled: Rows) -> list[str]:
    """What is not there any more, or otherwise."""
    wrong, known = [], set[str]()
    for engine, _ in engines(database):
        with database.read(engine) as connection:
            tables = reflected(connection)
            known |= set(tables)
            rows = {
                (name, row["workspace_id"] - FILLED): row
                for name, table in tables.items()
                if "workspace_id" in table.c
                for row in connection.execute(select(table).where(table.c.workspace_id > FILLED)).mappings()
            }
        for (name, n), before in filled.items():
            if name in tables:
                kept = before.keys() & set(tables[name].c.keys()) - REWRITTEN.get(name, set())
                after = dict(rows.get((name, n), ()))
                if {key: after.get(key) for key in kept} != {key: before[key] for key in kept}:
                    wrong.append(f"{name} of revision {n}: {after}")
    return wrong + sorted({f"{name} is gone" for name, _ in filled if name not in known})


def reflected(connection: Connection, *only: str) -> dict[str, Table]:
    """Tables of this database as they are now, without partitions and Alembic's own; those named, or all."""
    names = set(only or inspect(connection).get_table_names()) - {"alembic_version"}
    if connection.dialect.name == "postgresql":
        names -= set(connection.execute(text("select relname from pg_class where relispartition")).scalars())
    columns = inspect(connection).get_multi_columns(filter_names=sorted(names))
    return {name: _table(name, columns[None, name]) for name in sorted(names)}


def _table(name: str, columns: Sequence[ReflectedColumn]) -> Table:
    """With no more than its columns: to reflect keys and indexes too, of all tables, takes five times as long."""
    made = (
        Column(
            one["name"],
            one["type"],
            nullable=one["nullable"],
            server_default=None if one["default"] is None else text(one["default"]),
        )
        for one in columns
    )
    return Table(name, MetaData(), *made)


def put(connection: Connection, table: Table, n: int, **known: object) -> dict[str, Any]:
    """Insert a row: what is known, and something legal in each further column that needs a value."""
    row = dict(known)
    for column in table.c:
        needs = not (column.nullable or column.server_default is not None or (column.name == "id" and n == 0))
        if column.name not in row and needs:
            row[column.name] = KNOWN.get((table.name, column.name), some(column.type, n))
    connection.execute(insert(table).values(row))
    return row


def some(kind: TypeEngine[Any], n: int) -> object:
    """Any value of a type."""
    match kind:
        case Boolean():
            return False
        case SmallInteger():
            return 0
        case Integer():
            return n
        case LargeBinary():
            return b"\1" * 16
        case JSON():
            return {}
        case _:
            return f"of {n}"
