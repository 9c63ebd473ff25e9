"""What a deletion leaves in the files of SQLite. What it leaves in tables is tested in tests/api/test_merges.py."""

from pathlib import Path
from typing import Any

from app.store import erasure, migrate, partitions
from app.store.engine import Database
from tests.stores import NOW_US, workspace
from tests.workers.test_drain import applier
from tests.workers.test_merges import send

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
        assert send(database, one, path, body)
        assert applier(database).drain(one).counts.skipped == 0

    applied("/users/track", PEOPLE)
    applied("/users/merge", MERGE)
    database.checkpoint()
    assert files() == {"onefold.db": True, "onefold.db-wal": False}
    applied("/users/delete", {"external_ids": ["xyzzy"]})
    assert erasure.erase(database, NOW_US) == 2
    assert files() == {"onefold.db": False, "onefold.db-wal": False}
    database.dispose()
