"""What a restored database gives out again: no worker goes by what it remembers, and no id is made twice."""

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from app.contract import request_id
from app.domain.commands import STREAMS
from app.store import restored, tables, workspaces
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.profiles.dump import dump, occurrences
from tests.accepting import track
from tests.applying import applier
from tests.stores import workspace
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
                begun = "update lane set cursor_normal = 0, cursor_bulk = 0, applied_n = 0 where workspace_id = :number"
                connection.execute(text(begun), {"number": number})


@pytest.mark.parametrize("told", [True, False], ids=["another epoch", "the same epoch"])
def test_numbers_of_names_that_come_again(database: Database, told: bool) -> None:
    """A worker that is not told books an event under the number that another name has now: this is what the epoch is
    for, and that the test would see it."""
    number = workspace(database)
    worker = applier(database)
    track(database, number, body("visit", "search"))
    worker.drain(number)
    restore(database, number)
    if told:
        restored.go_on(database)
    for names in (("basket",), ("visit", "basket")):
        track(database, number, body(*names))
        worker.drain(number)
    with database.read() as connection:
        seen = sorted(row[5] for row in occurrences(connection, number))
    right = (seen, replay.differences(database, number, workspaces.secret(database, number)))
    assert (right == (["basket", "basket", "visit"], [])) is told, right


def given(database: Database, number: int) -> set[str]:
    """The ids that clients have of three requests, and of the profiles that they make."""
    worker = applier(database)
    for n in range(3):
        track(database, number, {"attributes": [{"external_id": f"of {n}", "n": n}]}, stream=n % 2)
        worker.drain(number)
    secret = workspaces.secret(database, number)
    with database.read() as connection, database.read(database.inbox) as heads:
        profiles = {profile.braze_id for profile in dump(connection, number).profiles.values()}
        last = [inbox.head(heads, number, stream) for stream in STREAMS]
    return profiles | {
        request_id.make(secret, number, stream, seq) for stream in STREAMS for seq in range(1, last[stream] + 1)
    }


@pytest.mark.parametrize("told", [True, False], ids=["restored", "nobody said so"])
def test_ids_that_were_given_are_not_given_again(database: Database, told: bool) -> None:
    number = workspace(database)
    before = given(database, number)
    restore(database, number)
    if told:
        restored.go_on(database)
    after = given(database, number)
    assert (len(before), len(after)) == (6, 6)
    assert before.isdisjoint(after) is told
    assert replay.differences(database, number, workspaces.secret(database, number)) == []
