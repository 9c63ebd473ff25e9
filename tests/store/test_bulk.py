"""Rows that are written together: what arrives is what was given, on both stores."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.domain.profile import ALL_SECTIONS, Profile
from app.domain.state import State
from app.store import tables
from app.store.binary import Numbers, Texts
from app.store.bulk import BulkUpdate, BulkWrite
from app.store.engine import Database
from app.store.names import NameCache
from app.store.profiles.catalogue import remember
from app.store.profiles.known import Known, seldom
from app.store.profiles.save import save, writes
from tests.stores import workspace

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_numbers = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@given(
    texts=st.lists(_texts) | st.lists(_texts | st.none()) | st.lists(_texts.map(str.encode)),
    numbers=st.lists(_numbers) | st.lists(_numbers | st.none()),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arrays_arrive_as_they_are(
    database: Database, texts: list[str | bytes | None], numbers: list[int | None]
) -> None:
    with database.read() as connection:
        arrays = {"texts": Texts.of(texts), "numbers": Numbers.of(numbers)}
        found = connection.execute(text("select cast(:texts as text[]), cast(:numbers as bigint[])"), arrays).one()
    assert found == ([one.decode() if isinstance(one, bytes) else one for one in texts], numbers)


def rows(database: Database, workspace_id: int) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        found = connection.execute(
            text("select pid, doc from profile_custom where workspace_id = :number order by pid"),
            {"number": workspace_id},
        )
        return [tuple(row) for row in found]


def test_rows_that_exist_are_updated_and_no_others(database: Database) -> None:
    one, other = workspace(database, "one"), workspace(database, "other")
    insert = BulkWrite(tables.ProfileCustom)
    update = BulkUpdate(tables.ProfileCustom, ["doc"])
    with database.write() as connection:
        for number in (one, other):
            insert.run(connection, number, [{"pid": pid, "doc": f'{{"é":{pid}}}'} for pid in (1, 2, 3)])
        update.run(connection, one, [{"pid": pid, "doc": '{"ü":0}'.encode()} for pid in (2, 3, 4)])
        update.run(connection, one, [])
    assert rows(database, one) == [(1, '{"é":1}'), (2, '{"ü":0}'), (3, '{"ü":0}')]
    assert rows(database, other) == [(pid, f'{{"é":{pid}}}') for pid in (1, 2, 3)]


def person(pid: int, **more: Any) -> Profile:
    empty: dict[str, Any] = {name: {} for name in ("core", "custom", "events", "purchases")}
    empty |= {name: {} for name in ("devices", "messages", "commerce")}
    return Profile(pid, f"{pid:024x}", 1, 1, 0, **(empty | more))


_FIELDS: list[dict[str, Any]] = [
    {"updated_us": 7}, {"updated_index": 8}, {"size": 9}, {"flags": 1}, {"revenue_cents": 2}, {"purchase_count": 3},
    {"external_id": "a"}, {"first_purchase_us": 4}, {"last_purchase_us": 5}, {"session_count": 6},
    {"first_session_us": 4}, {"last_session_us": 5}, {"updated_us": 8, "purchase_count": 9},
]  # fmt: skip


def test_whatever_changes_in_a_row_is_written(database: Database) -> None:
    """Of a profile whose row is known, what seldom changes is left out: and nothing else is, whichever field it is."""
    number = workspace(database, "one")
    names: NameCache = {}
    people = [person(pid) for pid in range(1, len(_FIELDS) + 1)]
    state = State(people, complete=True)
    state.changes.created |= {one.pid for one in people}
    state.changes.sections = dict.fromkeys(state.profiles, 0)
    with database.write() as connection:
        remember(names, save(connection, number, state, names))
    known = {one.pid: Known(seldom(one), ALL_SECTIONS) for one in people}
    state.begin_batch()
    state.changes.sections = dict.fromkeys(state.profiles, 0)
    for one, fields in zip(people, _FIELDS, strict=True):
        for name, value in fields.items():
            setattr(one, name, value)
    with database.write() as connection:
        for table, some in writes(number, state, {}, names, with_values=False, known=known):
            table.write(connection, number, some)
    order = list(dict.fromkeys(name for fields in _FIELDS for name in fields))
    with database.read() as connection:
        found = connection.execute(
            text(f"select {', '.join(order)} from profile where workspace_id = :number order by pid"),
            {"number": number},
        ).all()
    assert [tuple(row) for row in found] == [tuple(getattr(one, name) for name in order) for one in people]
    assert known == {one.pid: Known(seldom(one), ALL_SECTIONS) for one in people}
