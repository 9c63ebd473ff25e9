"""Merges, undone merges and deletions as they are stored: the same as in memory, and few rows whatever the history."""

from typing import Any

import pytest
from sqlalchemy import event, text

from app.domain.history import Origin
from app.domain.merge import MERGE, NONE, perform, plan_merge
from app.domain.profile import ALL_SECTIONS, NAME_EVENT, ApplySettings, Occurrence, Profile
from app.domain.state import State, keys_of
from app.store import lineage, profiles
from app.store.engine import Database
from tests.domain.test_merge import profile
from tests.stores import NOW_US, workspace
from workers.replay import expected_lineage, expected_occurrences

Step = tuple[Any, ...]


def take(database: Database, one: int, profile_numbers: list[int]) -> State:
    """What a drain would have loaded for these profiles."""
    with database.read() as connection:
        found = profiles.fetch(connection, one, dict.fromkeys(profile_numbers, ALL_SECTIONS))
        index = profiles.find(connection, one, {key for each in found for key in keys_of(each)})
    return State(found, index, {}, ApplySettings())


def do(state: State, steps: list[Step]) -> None:
    for n, step in enumerate(steps):
        match step:
            case ("merge", kept, merged, policy):
                plan = plan_merge(state.profiles[kept], state.profiles[merged], policy)
                perform(state, plan, Origin(0, 100 + n, 0, NOW_US + n))
            case ("delete", pid):
                state.remove(state.profiles[pid])
            case ("undo", found):
                state.unfold(found)


def people() -> list[Profile]:
    return [profile(n, external_id=f"u{n}", aliases={f"l{n}": "a"}, events={"e": [n, n, n]}) for n in range(1, 7)]


def occurred(pid: int) -> Occurrence:
    return Occurrence(0, pid, 0, pid, NAME_EVENT, "e", NOW_US, None, None)


@pytest.mark.parametrize(
    "batches",
    [
        [[("merge", 1, 2, MERGE)]],
        [[("merge", 2, 3, MERGE)], [("merge", 1, 2, MERGE)]],
        [[("merge", 2, 3, MERGE), ("merge", 1, 2, MERGE), ("merge", 4, 1, MERGE)]],
        [[("merge", 2, 3, MERGE)], [("merge", 1, 2, NONE)], [("merge", 4, 1, MERGE)]],
        [[("merge", 2, 3, NONE)], [("merge", 1, 2, MERGE)], [("delete", 1)]],
        [[("merge", 2, 3, MERGE), ("merge", 1, 2, MERGE), ("delete", 1), ("delete", 5)]],
        [[("merge", 2, 3, MERGE)], [("merge", 1, 2, MERGE)], [("undo", profile(2, external_id="u2"))]],
        [[("merge", 2, 3, NONE)], [("merge", 1, 2, MERGE)], [("undo", profile(2, external_id="x"))]],
        [[("merge", 2, 3, MERGE)], [("merge", 1, 2, NONE), ("undo", profile(2)), ("merge", 4, 2, MERGE)]],
        [[("merge", 1, 2, MERGE), ("undo", profile(2, external_id="u2", custom={"a": 1}))]],
    ],
)
def test_what_is_stored_is_what_is_in_memory(database: Database, batches: list[list[Step]]) -> None:
    one = workspace(database)
    expected = State(complete=True)
    first = State(complete=True)
    for state in (expected, first):
        for each in people():
            state.create(each)
            for key in keys_of(each):
                state.add_key(each, key)
            state.changed(each, ALL_SECTIONS)
            state.changes.occurrences.append(occurred(each.pid))
        state.changes.names.add((NAME_EVENT, "e"))
    with database.write() as connection:
        profiles.save(connection, one, first, {})
    for steps in batches:
        do(expected, steps)
        state = take(database, one, list(range(1, 7)))
        do(state, [("undo", _copy(step[1])) if step[0] == "undo" else step for step in steps])
        with database.write() as connection:
            profiles.save(connection, one, state, {(one, NAME_EVENT, "e"): 1})
    with database.read() as connection:
        found = profiles.dump(connection, one)
        assert found.profiles == expected.profiles
        assert found.index == {key: pids for key, pids in expected.index.items() if pids}
        assert lineage.everything(connection, one) == expected_lineage(expected)
        assert [row[3] for row in profiles.occurrences(connection, one)] == [
            each.pid for each in expected_occurrences(expected)
        ]
        erased = set(connection.execute(text("select pid from erasure")).scalars())
        assert erased == {pid for pid in range(1, 7) if _deleted(batches, pid)}


def _copy(found: Profile) -> Profile:
    return profile(found.pid, external_id=found.external_id, custom=dict(found.custom or {}))


def _deleted(batches: list[list[Step]], pid: int) -> bool:
    """Whether the profile, or whom it ended up in, was deleted by a step."""
    into = {step[2]: step[1] for steps in batches for step in steps if step[0] == "merge"}
    gone = {step[1] for steps in batches for step in steps if step[0] == "delete"}
    while pid in into:
        pid = into[pid]
    return pid in gone


def test_a_long_history_is_one_row(database: Database) -> None:
    """The lane writes the same few rows whether the merged profile had ten events or a million."""
    one = workspace(database)
    heavy = profile(2, external_id="m", events={"e": [1_000_000, 1, 9]})
    first = State(complete=True)
    for each in (profile(1, external_id="k"), heavy):
        first.create(each)
        first.add_key(each, next(iter(keys_of(each))))
        first.changed(each, ALL_SECTIONS)
    first.changes.names.add((NAME_EVENT, "e"))
    first.changes.occurrences = [
        Occurrence(0, seq, 0, 2, NAME_EVENT, "e", NOW_US, None, None) for seq in range(1, 10_001)
    ]
    with database.write() as connection:
        profiles.save(connection, one, first, {})
    state = take(database, one, [1, 2])
    do(state, [("merge", 1, 2, MERGE)])
    rows: list[int] = []
    with database.write() as connection:

        def count(_c: object, cursor: Any, *_: object) -> None:
            rows.append(cursor.rowcount)

        event.listen(connection, "after_cursor_execute", count)
        profiles.save(connection, one, state, {(one, NAME_EVENT, "e"): 1})
    # Four deletions of the merged one's rows, its identifier, the link; on SQLite all writes of the kept one as well.
    assert len(rows) <= 12
    assert sum(rows) <= 20
    with database.read() as connection:
        assert lineage.everything(connection, one) == {2: (1, 1)}
        assert len(profiles.occurrences(connection, one)) == 10_000
