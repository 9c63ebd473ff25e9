"""Merges, undone merges and deletions as they are stored: the same as in memory, and few rows whatever the history."""

from typing import Any

from sqlalchemy import event, text

from app.domain.history import Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.merge import MERGE, NONE, perform, plan_merge
from app.domain.merging.undo import undo
from app.domain.profile import ALL_SECTIONS, DEPRECATED, EXTERNAL, NAME_EVENT, Occurrence, Profile
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.store import merges
from app.store.engine import Database
from app.store.profiles import lineage, look_up
from app.store.profiles.dump import dump, occurrences
from app.store.profiles.save import save
from tests.domain.builders import profile
from tests.stores import NOW_US, workspace
from workers.replay import expected_lineage, expected_occurrences

Step = tuple[Any, ...]


def take(database: Database, one: int, profile_numbers: list[int]) -> State:
    """What a drain would have loaded for these profiles."""
    with database.read() as connection:
        found = look_up.fetch(connection, one, dict.fromkeys(profile_numbers, ALL_SECTIONS))
        wanted = {f"{merged}>{kept}" for kept in profile_numbers for merged in profile_numbers}
        records = merges.fetch(connection, one, sorted(wanted))
        again = {
            key for record in records.values() if record and record.snapshot for key in identifiers_of(record.snapshot)
        }
        again |= {key for each in found for key in identifiers_of(each)}
        index = look_up.find(connection, one, again | {(DEPRECATED, "", key[2]) for key in again if key[0] == EXTERNAL})
    state = State(found, index, {}, ApplySettings())
    state.records = records
    return state


def do(state: State, steps: list[Step]) -> None:
    for n, step in enumerate(steps):
        match step:
            case ("merge", kept, merged, policy):
                plan = plan_merge(state.profiles[kept], state.profiles[merged], policy)
                perform(state, plan, Origin(0, 100 + n, 0, NOW_US + n, "backend"), f"{merged}>{kept}")
            case ("delete", pid):
                state.remove(state.profiles[pid], f"hash of {pid}", Origin(0, 200 + n, 1, NOW_US + n))
            case ("undo", merge_id):
                assert undo(state, merge_id, Origin(0, 300 + n, 0, NOW_US + n, "admin")) == ""


def people() -> list[Profile]:
    return [profile(n, external_id=f"u{n}", aliases={f"l{n}": "a"}, events={"e": [n, n, n]}) for n in range(1, 7)]


def occurred(pid: int) -> Occurrence:
    return Occurrence(0, pid, 0, pid, NAME_EVENT, "e", NOW_US, None, None)


CASES: list[list[list[Step]]] = [
    [[("merge", 1, 2, MERGE)]],
    [[("merge", 2, 3, MERGE)], [("merge", 1, 2, MERGE)]],
    [[("merge", 2, 3, MERGE), ("merge", 1, 2, MERGE), ("merge", 4, 1, MERGE)]],
    [[("merge", 2, 3, MERGE)], [("merge", 1, 2, NONE)], [("merge", 4, 1, MERGE)]],
    [[("merge", 2, 3, NONE)], [("merge", 1, 2, MERGE)], [("delete", 1)]],
    [[("merge", 2, 3, MERGE), ("merge", 1, 2, MERGE), ("delete", 1), ("delete", 5)]],
    [[("merge", 2, 3, MERGE)], [("merge", 1, 2, MERGE)], [("undo", "2>1")]],
    [[("merge", 2, 3, NONE)], [("merge", 1, 2, MERGE)], [("undo", "2>1")], [("undo", "3>2")]],
    [[("merge", 2, 3, MERGE)], [("merge", 1, 2, NONE), ("undo", "2>1"), ("merge", 4, 2, MERGE)]],
    [[("merge", 1, 2, MERGE), ("undo", "2>1")]],
    [[("merge", 1, 2, MERGE)], [("undo", "2>1"), ("delete", 1)]],
    [[("merge", 1, 2, MERGE)], [("undo", "2>1")], [("delete", 2)], [("merge", 1, 3, MERGE)]],
]


def test_what_is_stored_is_what_is_in_memory(database: Database) -> None:
    for n, batches in enumerate(CASES):
        _compare(database, workspace(database, f"w{n}"), batches)


def _compare(database: Database, one: int, batches: list[list[Step]]) -> None:
    expected = State(complete=True)
    first = State(complete=True)
    for state in (expected, first):
        for each in people():
            state.create(each)
            for key in identifiers_of(each):
                state.add_identifier(each, key)
            state.changed(each, ALL_SECTIONS)
            state.changes.occurrences.append(occurred(each.pid))
        state.changes.written[NAME_EVENT, "e", ""] += 1
    with database.write() as connection:
        save(connection, one, first, {})
    for steps in batches:
        do(expected, steps)
        state = take(database, one, list(range(1, 7)))
        do(state, steps)
        with database.write() as connection:
            save(connection, one, state, {(one, NAME_EVENT, "e"): 1})
    with database.read() as connection:
        found = dump(connection, one)
        assert found.profiles == expected.profiles
        assert found.index == {key: pids for key, pids in expected.index.items() if pids}
        assert lineage.everything(connection, one) == expected_lineage(expected)
        assert [row[3] for row in occurrences(connection, one)] == [each.pid for each in expected_occurrences(expected)]
        erased = set(connection.execute(text("select pid from erasure where workspace_id = :w"), {"w": one}).scalars())
        assert erased == {pid for pid in range(1, 7) if _deleted(batches, pid)}
        records, history, deletions = merges.everything(connection, one)
        assert records == {merge_id: record for merge_id, record in expected.records.items() if record is not None}
        assert history == {
            pid: sorted(lines, key=lambda line: (line.origin.us, line.origin.ordinal, line.what))
            for pid, lines in expected.changes.history.items()
        }
        assert deletions == dict(expected.changes.deleted)


def _deleted(batches: list[list[Step]], pid: int) -> bool:
    """Whether the profile, or whom it ended up in, was deleted by a step."""
    into: dict[int, int] = {}
    for steps in batches:
        for step in steps:
            if step[0] == "merge":
                into[step[2]] = step[1]
            elif step[0] == "undo":
                del into[int(step[1][0])]
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
        first.add_identifier(each, next(iter(identifiers_of(each))))
        first.changed(each, ALL_SECTIONS)
    first.changes.written[NAME_EVENT, "e", ""] += 1
    first.changes.occurrences = [
        Occurrence(0, seq, 0, 2, NAME_EVENT, "e", NOW_US, None, None) for seq in range(1, 10_001)
    ]
    with database.write() as connection:
        save(connection, one, first, {})
    state = take(database, one, [1, 2])
    do(state, [("merge", 1, 2, MERGE)])
    rows: list[int] = []
    with database.write() as connection:

        def count(_c: object, cursor: Any, *_: object) -> None:
            rows.append(cursor.rowcount)

        event.listen(connection, "after_cursor_execute", count)
        save(connection, one, state, {(one, NAME_EVENT, "e"): 1})
    # The merged one's rows and identifier go, the kept one's are written, and the link, the record and two lines.
    assert len(rows) <= 15
    assert sum(rows) <= 20
    with database.read() as connection:
        assert lineage.everything(connection, one) == {2: (1, 1)}
        assert len(occurrences(connection, one)) == 10_000
