"""Values for segments: copied beside running lanes, written by every batch from then on, always those of the texts."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.contract import deletion, kinds
from app.domain import times
from app.domain.commands import STREAM_NORMAL
from app.store import lane
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.segments import saved, upkeep, values
from app.store.tables import Segment
from tests.accepting import track
from tests.applying import applier, differences
from tests.stores import NOW_US, workspace
from tests.strategies import bodies
from workers import values as workers_values

_names = (f"v{n}" for n in itertools.count())


def use_segments(database: Database, workspace_id: int) -> None:
    segment = Segment(
        workspace_id=workspace_id,
        id="s",
        name="s",
        description="",
        tags=[],
        tracked=False,
        definition={"groups": []},
        created_us=0,
        updated_us=0,
    )
    with database.write() as connection:
        saved.add(connection, segment)


def delete(database: Database, workspace_id: int, external_id: str) -> None:
    accepted = deletion.check(json.dumps({"external_ids": [external_id]}).encode())
    with database.write(database.inbox) as connection:
        entry = Entry(kinds.DELETE, accepted.codec, accepted.body)
        inbox.append(connection, workspace_id, STREAM_NORMAL, [entry], NOW_US)


def held(database: Database, workspace_id: int) -> dict[tuple[int, int], Any]:
    with database.read() as connection:
        rows = connection.execute(
            text("select pid, part, doc from profile_value where workspace_id = :w"), {"w": workspace_id}
        )
        return {(row.pid, row.part): row.doc for row in rows}


def texts(database: Database, workspace_id: int) -> dict[tuple[int, int], Any]:
    """What there should be."""
    with database.read() as connection:
        rows = connection.execute(
            text(f"select * from ({values._TEXTS}) s where workspace_id = :w"), {"w": workspace_id}
        )
        return {(row.pid, row.part): json.loads(row.doc) for row in rows}


def ready(database: Database, workspace_id: int) -> bool:
    with database.read() as connection:
        return values.is_filled(connection, workspace_id)


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(bodies, st.sampled_from(["", "drain", "copy", "delete"])), max_size=10),
    st.sampled_from([1, 2, 500]),
)
def test_any_log_beside_copies(database: Database, sent: list[tuple[dict[str, Any], str]], chunk: int) -> None:
    one = workspace(database, next(_names))
    worker = applier(database)
    most, values.CHUNK = values.CHUNK, chunk  # type: ignore[misc]
    try:
        for body, then in sent:
            track(database, one, body)
            if then == "delete":
                delete(database, one, "ada")
            if then in ("drain", "delete"):
                worker.drain(one)
            if then == "copy" and database.is_postgresql:
                values.begin(database, one, NOW_US)
                values._copy(database, one)
        worker.drain(one)
        values.begin(database, one, NOW_US)
        if database.is_postgresql:
            assert values.fill(database, one, 60)
    finally:
        values.CHUNK = most  # type: ignore[misc]
    assert differences(database, one) == []
    assert held(database, one) == (texts(database, one) if database.is_postgresql else {})


def test_only_workspaces_with_segments_have_values(database: Database) -> None:
    one, other = workspace(database), workspace(database, "other")
    worker = applier(database)
    for each in (one, other):
        track(database, each, {"attributes": [{"external_id": "ada", "tier": "gold"}]})
        worker.drain(each)
    use_segments(database, one)
    filled = 1 if database.is_postgresql else 0
    assert [workers_values.tick(database, NOW_US) for _ in range(2)] == [filled, 0]
    for each in (one, other):
        track(database, each, {"attributes": [{"external_id": "bo", "tier": "gold"}]})
        worker.drain(each)
    assert ready(database, one) is database.is_postgresql
    assert held(database, one) == (texts(database, one) if database.is_postgresql else {})
    assert held(database, other) == {}
    with database.read() as connection:
        assert [found.with_values for each in (one, other) if (found := lane.read(connection, each))] == [
            database.is_postgresql,
            False,
        ]


@pytest.fixture
def filled(database: Database) -> int:
    """A workspace with somebody in it, on PostgreSQL only."""
    if not database.is_postgresql:
        pytest.skip("SQLite has no values")
    one = workspace(database)
    track(database, one, {"attributes": [{"external_id": "ada", "tier": "gold"}, {"external_id": "bo", "tier": 1}]})
    applier(database).drain(one)
    values.begin(database, one, NOW_US)
    return one


def test_verify_sees_a_difference(database: Database, filled: int) -> None:
    assert values.fill(database, filled, 60)
    assert differences(database, filled) == []
    for damage in (
        "update profile_value set doc = '{}' where part = 2",
        "delete from profile_value where part = 2",
        "insert into profile_value values (1, 7, 2, '{}')",
    ):
        with database.write() as connection:
            connection.execute(text(damage))
        assert any("values for segments" in line for line in differences(database, filled)), damage
        assert upkeep.rebuild(database, filled, NOW_US) == 2
        assert differences(database, filled) == [], damage


def test_a_copy_waits_for_no_batch(database: Database, filled: int) -> None:
    """And a deletion that a copy holds up takes the copy along."""
    with database.write() as batch:
        batch.execute(text("insert into profile_value select workspace_id, pid, 2, '{}' from profile"))
        assert not values.fill(database, filled, 0.2)
        batch.rollback()
    assert values.fill(database, filled, 60)
    delete(database, filled, "ada")
    applier(database).drain(filled)
    assert held(database, filled) == texts(database, filled)
    assert len({pid for pid, _ in held(database, filled)}) == 1


def test_a_text_that_jsonb_cannot_hold_stops_nobody(database: Database, filled: int) -> None:
    with database.write() as connection:
        connection.execute(
            text("update profile_custom set doc = :doc"), {"doc": r'{"a":"x\u0000y","b":"\\u0000","c":"\\\u0000"}'}
        )
    assert values.fill(database, filled, 60)
    found = [doc for (_, part), doc in held(database, filled).items() if part == 2]
    assert found == [{"a": "x\ufffdy", "b": "\\u0000", "c": "\\\ufffd"}] * 2


def in_lane(database: Database, workspace_id: int) -> tuple[bool, bool]:
    """(whether batches write values, whether there may be some)"""
    with database.read() as connection:
        found = lane.read(connection, workspace_id)
    assert found is not None
    return found.with_values, found.has_values


def test_values_go_when_segments_are_used_no_more(database: Database, filled: int) -> None:
    """And come back. Meanwhile batches write none, and whoever is deleted has none left at once."""
    worker, day = applier(database), times.DAY
    use_segments(database, filled)
    assert workers_values.tick(database, NOW_US) == 1
    assert workers_values.tick(database, NOW_US + 30 * day) == 0
    assert ready(database, filled)
    with database.write() as connection:
        saved.remove(connection, filled, "s")
    workers_values.tick(database, NOW_US + 36 * day)
    assert ready(database, filled)
    upkeep.touch(database, filled, NOW_US + 36 * day)  # a preview
    workers_values.tick(database, NOW_US + 42 * day)
    assert ready(database, filled)
    workers_values.tick(database, NOW_US + 44 * day, seconds=-1)
    assert (ready(database, filled), in_lane(database, filled)) == (False, (False, True))
    assert len(held(database, filled)) > 0
    delete(database, filled, "ada")
    track(database, filled, {"attributes": [{"external_id": "bo", "tier": 2}, {"external_id": "cy"}]})
    worker.drain(filled)
    assert len({pid for pid, _ in held(database, filled)}) == 1
    values.begin(database, filled, NOW_US)  # somebody uses segments before they are gone
    assert in_lane(database, filled) == (False, True)
    workers_values.tick(database, NOW_US + 44 * day)
    assert (held(database, filled), in_lane(database, filled)) == ({}, (False, False))
    use_segments(database, filled)
    assert workers_values.tick(database, NOW_US + 45 * day) == 1
    assert (ready(database, filled), held(database, filled)) == (True, texts(database, filled))


def test_a_worker_that_knows_no_values_is_noticed(database: Database, filled: int) -> None:
    """Its batches move the cursors alone. Segments read the text then, until the values were made anew."""
    use_segments(database, filled)
    assert values.fill(database, filled, 60)
    worker = applier(database)
    before = held(database, filled)
    with database.write() as connection:
        connection.execute(text("update lane set with_values = false"))
    track(database, filled, {"attributes": [{"external_id": "ada", "tier": "none"}]})
    worker.drain(filled)
    with database.write() as connection:
        connection.execute(text("update lane set with_values = true"))
    assert (ready(database, filled), held(database, filled)) == (False, before)
    track(database, filled, {"attributes": [{"external_id": "bo", "tier": 3}]})
    worker.drain(filled)  # one that knows them does not hide it
    with database.read() as connection:
        assert [(copy.filled, copy.behind) for copy in upkeep.states(connection)] == [(True, True)]
    assert not ready(database, filled)
    assert workers_values.tick(database, NOW_US) == 1
    assert (ready(database, filled), held(database, filled)) == (True, texts(database, filled))
    with database.read() as connection:
        (copy,) = upkeep.states(connection)
    assert copy == upkeep.Copy(filled, filled=True, leaving=False, behind=False, behind_us=NOW_US)


def test_a_copy_reads_its_profiles_alone(database: Database, filled: int) -> None:
    """Also without statistics, as behind a large import: it looked through the whole workspace for each of them."""
    with database.write() as connection:
        connection.execute(
            text("insert into profile_part select :w, n, 4, '{}' from generate_series(1, 5000) n"), {"w": filled}
        )
        for statement in values._COPY:
            explained = text(f"explain {statement.text}")
            plan = [row[0] for row in connection.execute(explained, {"workspace_id": filled, "pids": [*range(1, 500)]})]
            looked_up = [line for line in plan if "Index Cond" in line]
            assert len(looked_up) == 1, plan
            assert "pid = " in looked_up[0], plan
        connection.rollback()
