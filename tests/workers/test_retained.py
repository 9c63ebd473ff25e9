"""What is kept about profiles beside them has a bound: lines of history, records of merges, deletions."""

from typing import Any

import pytest
from sqlalchemy import text

from app.domain.times import DAY
from app.store import merges, workspaces
from app.store.engine import Database
from app.store.retained import LEAST_LINES, Keeping, Retained
from tests.accepting import send_signed, undo
from tests.applying import applier, differences
from tests.stores import NOW_US, workspace
from workers import replay
from workers.retention import Retention

_LINE = text(
    "insert into history (workspace_id, pid, us, ordinal, what, stream, seq, key_name, other, merge_id)"
    " values (:workspace_id, :pid, :us, 0, 'flagged', 0, 1, '', '', '')"
)
#: Numbers of profiles are of any sign and size.
PIDS = (-(2**62), -5, 0, 7, 2**62)


def rows(database: Database, statement: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@pytest.mark.parametrize("window", [2, 150, 10_000])
def test_a_profile_keeps_the_newest_lines_of_its_history(database: Database, window: int) -> None:
    counts = dict(zip(PIDS, (250, LEAST_LINES, 99, 1_301, 101), strict=True))
    with database.write() as connection:
        for number in (1, 2):
            connection.execute(
                _LINE,
                [
                    {"workspace_id": number, "pid": pid, "us": us}
                    for pid, count in counts.items()
                    for us in range(count)
                ],
            )
    retained = Retained(database, Keeping(history_lines=LEAST_LINES), window)
    dropped = sum(retained.trim(NOW_US).get("history", 0) for _ in range(40))
    assert dropped == 2 * sum(max(0, count - LEAST_LINES) for count in counts.values())
    assert rows(database, "select workspace_id, pid, min(us), count(*) from history group by 1, 2 order by 1, 2") == [
        (number, pid, max(0, count - LEAST_LINES), min(count, LEAST_LINES))
        for number in (1, 2)
        for pid, count in counts.items()
    ]


def test_the_comparison_bears_with_lines_that_are_gone(database: Database) -> None:
    one, worker = workspace(database), applier(database)
    send_signed(database, one, "/users/track", {"attributes": [{"external_id": "ada"}]})
    alias = {"external_id": "ada", "alias_label": "l"}
    send_signed(database, one, "/users/alias/new", {"user_aliases": [{**alias, "alias_name": "0"}]})
    for n in range(LEAST_LINES + 10):
        names = {"old_alias_name": f"{n}", "new_alias_name": f"{n + 1}"}
        send_signed(database, one, "/users/alias/update", {"alias_updates": [{"alias_label": "l", **names}]})
    assert worker.drain(one).dead == 0
    assert Retained(database, Keeping(history_lines=LEAST_LINES)).trim(NOW_US) == {"history": 12}
    assert differences(database, one) == []
    with database.write() as connection:
        connection.execute(text("delete from history where us = (select max(us) from history)"))
    assert differences(database, one) == ["history differs"]


ATTRIBUTES = [{"external_id": name, "email": f"{name}@example.org"} for name in ("kept", "gone", "back", "other")]


def merged(database: Database) -> tuple[int, dict[str, str], dict[str, int]]:
    """A workspace in which `gone` and `back` were merged into `kept`, and `back` came back; braze_ids and numbers."""
    one, worker = workspace(database), applier(database)
    visits = [{"external_id": name, "name": "visit", "time": "2026-11-18"} for name in ("kept", "gone", "back")]
    send_signed(database, one, "/users/track", {"attributes": ATTRIBUTES, "events": visits})
    worker.drain(one)
    known = rows(database, "select external_id, braze_id, pid from profile")
    pairs = [
        {"identifier_to_merge": {"external_id": name}, "identifier_to_keep": {"external_id": "kept"}}
        for name in ("gone", "back")
    ]
    send_signed(database, one, "/users/merge", {"merge_updates": pairs})
    worker.drain(one)
    (back,) = rows(database, "select id from merge_record order by ordinal desc limit 1")
    undo(database, one, back[0])
    worker.drain(one)
    return one, {name: braze_id for name, braze_id, _ in known}, {name: pid for name, _, pid in known}


def test_a_merge_is_forgotten_with_all_that_tells_of_it(database: Database) -> None:
    one, braze_ids, pids = merged(database)
    keeping = Keeping(merge_days=40)
    assert Retained(database, keeping).trim(NOW_US + 100 * DAY) == {}  # it may still be undone, for all that is known
    merges.expire(database, NOW_US + 32 * DAY)
    assert Retained(database, keeping).trim(NOW_US + 40 * DAY) == {}
    retention = Retention(database, lambda: 0, inbox_hours=10**6, keeping=keeping)
    retention.work(NOW_US + 41 * DAY)
    assert rows(database, "select * from merge_record") == rows(database, "select * from lineage") == []
    assert sorted(rows(database, "select pid, what from history")) == sorted(
        (pids[name], "created") for name in ("kept", "back", "other")
    )
    for table in ("history", "merge_record", "lineage", "profile", "identifier"):
        assert braze_ids["gone"] not in str(rows(database, f"select * from {table}"))
    with database.read() as connection:
        assert merges.merged_away(connection, one, braze_ids["gone"]) is None
    assert compared(database, one, 41, keeping) == []
    assert "records of merges differ" in compared(database, one, 41, Keeping(merge_days=42))
    # Those who are there go on.
    worker = applier(database)
    send_signed(database, one, "/users/delete", {"external_ids": ["kept"]})
    send_signed(database, one, "/users/track", {"attributes": [{"external_id": "back", "k": 1}]})
    assert worker.drain(one).dead == 0
    assert [name for (name,) in rows(database, "select external_id from profile order by 1")] == ["back", "other"]
    assert compared(database, one, 41, keeping) == []


def compared(database: Database, workspace_id: int, days: int, keeping: Keeping) -> list[str]:
    """What `onefold verify` says so many days later, where the inbox is kept that long."""
    secret = workspaces.secret(database, workspace_id)
    return replay.differences(database, workspace_id, secret, now_us=NOW_US + days * DAY, keeping=keeping)


def test_many_records_go_in_parts(database: Database) -> None:
    one, worker = workspace(database), applier(database)
    people = [{"external_id": f"{kind}{n}"} for n in range(250) for kind in "ab"]
    send_signed(database, one, "/users/track", {"attributes": people})
    for start in range(0, 250, 50):
        pairs = [
            {"identifier_to_merge": {"external_id": f"a{n}"}, "identifier_to_keep": {"external_id": f"b{n}"}}
            for n in range(start, start + 50)
        ]
        send_signed(database, one, "/users/merge", {"merge_updates": pairs})
    worker.drain(one)
    merges.expire(database, NOW_US + 32 * DAY)
    retained = Retained(database, Keeping(merge_days=40), window=120)
    assert [retained.trim(NOW_US + 41 * DAY).get("merges", 0) for _ in range(5)] == [120, 120, 10, 0, 0]
    assert (
        rows(database, "select count(*) from merge_record") == rows(database, "select count(*) from lineage") == [(0,)]
    )
    assert rows(database, "select count(*), count(distinct pid) from history") == [(250, 250)]


def test_a_deletion_is_forgotten(database: Database) -> None:
    one, worker = workspace(database), applier(database)
    send_signed(database, one, "/users/track", {"attributes": ATTRIBUTES})
    send_signed(database, one, "/users/delete", {"external_ids": ["kept", "gone", "back"]})
    worker.drain(one)
    retained = Retained(database, Keeping(deletion_days=30), window=2)
    assert [retained.trim(NOW_US + 30 * DAY - 1) for _ in range(3)] == [{}, {}, {}]
    assert sum(retained.trim(NOW_US + 31 * DAY).get("deletions", 0) for _ in range(3)) == 3
    assert rows(database, "select * from deletion") == []
    assert compared(database, one, 31, Keeping(deletion_days=30)) == []
    assert "deletions differ" in compared(database, one, 31, Keeping(deletion_days=32))
