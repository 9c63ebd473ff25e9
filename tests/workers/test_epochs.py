"""What a worker remembers is true for one epoch of a lane: the numbers of a restored database come again."""

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from app.store import lane, tables, workspaces
from app.store.engine import Database
from app.store.profiles.dump import occurrences
from tests.stores import workspace
from tests.workers.test_drain import applier, send
from workers import replay

#: What a backup of before the first request has.
_FIRST = ("workspace", "lane", "inbox_head", "api_key")


def body(*names: str) -> dict[str, object]:
    return {"events": [{"external_id": "ada", "name": name, "time": "2026-11-20T00:00:00Z"} for name in names]}


def restore(database: Database, number: int) -> None:
    """The workspace as it was before its first request."""
    found = [table for table in SQLModel.metadata.sorted_tables if "workspace_id" in table.c]
    for engine in {database.main, database.inbox}:
        with database.write(engine) as connection:
            for table in found:
                here = database.is_postgresql or (table.name in tables.INBOX_TABLES) == (engine is database.inbox)
                if here and table.name not in _FIRST:
                    delete = text(f"delete from {table.name} where workspace_id = :number")
                    connection.execute(delete, {"number": number})
            if engine is database.inbox:
                connection.execute(
                    text("update inbox_head set head = 0 where workspace_id = :number"), {"number": number}
                )
            if engine is database.main:
                begun = "update lane set cursor_normal = 0, applied_n = 0 where workspace_id = :number"
                connection.execute(text(begun), {"number": number})


@pytest.mark.parametrize("told", [True, False], ids=["another epoch", "the same epoch"])
def test_numbers_of_names_that_come_again(database: Database, told: bool) -> None:
    """A worker that is not told books an event under the number that another name has now: this is what the epoch is
    for, and that the test would see it."""
    number = workspace(database)
    worker = applier(database)
    send(database, number, body("visit", "search"))
    worker.drain(number)
    restore(database, number)
    if told:
        with database.write() as connection:
            lane.begin_epoch(connection)
    for names in (("basket",), ("visit", "basket")):
        send(database, number, body(*names))
        worker.drain(number)
    with database.read() as connection:
        seen = sorted(row[5] for row in occurrences(connection, number))
    right = (seen, replay.differences(database, number, workspaces.secret(database, number)))
    assert (right == (["basket", "basket", "visit"], [])) is told, right
