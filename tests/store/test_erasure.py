"""What a deletion leaves in the files of SQLite, and how its rest is deleted in short transactions.

What it leaves in tables is tested in tests/api/test_merges.py.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import event

from app.store import erasure, migrate, partitions
from app.store.engine import Database
from tests.accepting import send_signed
from tests.applying import applier
from tests.stores import NOW_US, workspace

ALIAS = {"alias_label": "basket", "alias_name": "xyzzy guest"}
WHOM: list[dict[str, Any]] = [{"external_id": "xyzzy"}, {"user_alias": ALIAS, "_update_existing_only": False}]
PEOPLE = {
    "attributes": [{**who, "first_name": "xyzzy first", "notes": ["xyzzy note" * 9] * 99} for who in WHOM],
    "events": [
        {**who, "name": "view", "time": "2026-11-18T00:00:00Z", "properties": {"p": f"xyzzy {n}"}}
        for who in WHOM
        for n in range(20)
    ],
}
MERGE = {"merge_updates": [{"identifier_to_merge": {"user_alias": ALIAS}, "identifier_to_keep": WHOM[0]}]}


def test_no_free_page_and_no_log_holds_a_deleted_person(tmp_path: Path) -> None:
    def files() -> dict[str, bool]:
        return {name: b"xyzzy" in (tmp_path / name).read_bytes() for name in ("onefold.db", "onefold.db-wal")}

    database = Database(f"sqlite:///{tmp_path / 'onefold.db'}")
    migrate.upgrade(database)
    partitions.prepare(database, NOW_US)
    one = workspace(database)

    def applied(path: str, body: dict[str, Any]) -> None:
        assert send_signed(database, one, path, body)
        assert applier(database).drain(one).counts.skipped == 0

    applied("/users/track", PEOPLE)
    applied("/users/merge", MERGE)
    database.checkpoint()
    assert files() == {"onefold.db": True, "onefold.db-wal": False}
    applied("/users/delete", {"external_ids": ["xyzzy"]})
    assert erasure.erase(database, NOW_US) == 2
    assert files() == {"onefold.db": False, "onefold.db-wal": False}
    database.dispose()


def test_no_transaction_deletes_much(database: Database) -> None:
    """Events of three people lie between each other on two days; two of the people are deleted."""
    one = workspace(database)
    people = ["ada", "bob", "cy"]
    times = [f"2026-11-{day}T00:00:{n:02d}Z" for day in (17, 18) for n in range(9)]
    for time in times:
        assert send_signed(
            database,
            one,
            "/users/track",
            {"events": [{"external_id": who, "name": "view", "time": time} for who in people]},
        )
    applier(database).drain(one)
    before = occurrences(database, one)
    assert len(before) == 3 * len(times)
    assert send_signed(database, one, "/users/delete", {"external_ids": ["ada", "cy"]})
    applier(database).drain(one)
    deleted: list[int] = []

    def count(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("delete") and " occurrence " in statement:
            deleted.append(cursor.rowcount)

    event.listen(database.main, "after_cursor_execute", count)
    assert erasure.erase(database, NOW_US, at_once=5) == 2
    assert erasure.erase(database, NOW_US, at_once=5) == 0
    event.remove(database.main, "after_cursor_execute", count)
    left = occurrences(database, one)
    assert len({pid for *_, pid in left}) == 1
    assert left == [row for row in before if row[-1] == left[0][-1]]
    assert (sum(deleted), max(deleted)) == (2 * len(times), 4)


def occurrences(database: Database, workspace_id: int) -> list[tuple[int, ...]]:
    rows = (
        f"select day, stream, seq, ordinal, pid from occurrence where workspace_id = {workspace_id} order by 1, 2, 3, 4"
    )
    with database.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(rows)]
