"""The last updated holders of an address, page by page: the order, what reaches Python, and how it is looked up."""

import random
import tracemalloc

import pytest
from sqlalchemy import Connection, event, text

from app.domain.profile import CUSTOM, EMAIL, Identifier, Profile
from app.domain.state import State
from app.store.engine import Database
from app.store.profiles.holders import newest, sizes
from app.store.profiles.save import save
from tests.stores import workspace

KEY: Identifier = (EMAIL, "", "crowd@example.org")
SEED = 20_260_727


def people(database: Database, moments: list[tuple[int, int, int]], key: Identifier = KEY, first: int = 1) -> int:
    """A workspace, with a profile for each (updated_us, updated_index, created_us) that has the address."""
    number = workspace(database, f"w{first}")
    state = State(complete=True)
    for n, (us, index, created) in enumerate(moments, first):
        profile = Profile(
            n, f"{n * 7919 % 2**40:024x}", created, us, index, core={}, custom={}, events={}, purchases={}
        )
        profile.devices, profile.messages, profile.commerce = {}, {}, {}
        state.create(profile)
        state.set_core(profile, "email", key[2])
    with database.write() as connection:
        save(connection, number, state, {})
    return number


def expected(moments: list[tuple[int, int, int]]) -> list[int]:
    ranked = [((*moment, f"{n * 7919 % 2**40:024x}"), n) for n, moment in enumerate(moments, 1)]
    return [n for _, n in sorted(ranked, reverse=True)]


@pytest.mark.parametrize("page", [1, 2, 7, 100])
def test_every_holder_once_and_in_order(database: Database, page: int) -> None:
    """Many ties at every part of the order."""
    chance = random.Random(SEED)
    moments = [(chance.randrange(3), chance.randrange(2), chance.randrange(2)) for _ in range(60)]
    number = people(database, moments)
    found: list[int] = []
    behind = None
    with database.read() as connection:
        while rows := newest(connection, number, KEY, behind, page):
            found += [pid for pid, _ in rows]
            behind = rows[-1][1]
            assert len(rows) <= page
    assert found == expected(moments), SEED


def test_of_twenty_thousand_holders_a_page_reaches_python(database: Database) -> None:
    moments = [(n * 7 % 20_011, 0, n) for n in range(20_000)]
    number = people(database, moments)
    with database.read() as connection:
        newest(connection, number, KEY, None, 1)
        tracemalloc.start()
        try:
            rows = newest(connection, number, KEY, None, 101)
            more = newest(connection, number, KEY, rows[99][1], 101)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert [pid for pid, _ in rows[:100] + more] == expected(moments)[:201]
    assert peak < 300_000


def statements(connection: Connection, number: int) -> list[tuple[str, object]]:
    """What `newest` and `sizes` execute, as the driver gets it."""
    seen: list[tuple[str, object]] = []

    @event.listens_for(connection, "before_cursor_execute")
    def look(_c: object, _cursor: object, statement: str, parameters: object, *_more: object) -> None:
        seen.append((statement, parameters))

    newest(connection, number, KEY, None, 101)
    newest(connection, number, KEY, (1, 0, 0, "f" * 24), 101)
    sizes(connection, number, [1, 2])
    event.remove(connection, "before_cursor_execute", look)
    return seen


def test_only_indexes_are_used(database: Database) -> None:
    number = people(database, [(n, 0, n) for n in range(300)])
    people(database, [(n, 0, n) for n in range(300)], (EMAIL, "", "other@example.org"), first=1_001)
    with database.write() as connection:
        connection.execute(text("analyze"))
    explain = "explain " if database.is_postgresql else "explain query plan "
    with database.read() as connection:
        for statement, parameters in statements(connection, number):
            plan = [str(row) for row in connection.exec_driver_sql(explain + statement, parameters)]  # type: ignore[arg-type]
            whole = [line for line in plan if "Seq Scan" in line or ("SCAN" in line and "each" not in line)]
            assert whole == [], plan
            assert not any("Hash" in line for line in plan), plan


def test_the_size_of_a_profile_is_that_of_its_documents(database: Database) -> None:
    number = people(database, [(1, 0, 1), (2, 0, 2)])
    state = State(complete=True)
    with database.read() as connection:
        before = sizes(connection, number, [1, 2, 3])
    profile = Profile(9, "9" * 24, 1, 1, 0, core={}, custom={}, events={}, purchases={}, devices={}, messages={})
    profile.commerce = {}
    state.create(profile)
    profile.custom = {"é": "ü" * 1_000}
    state.changed(profile, CUSTOM)
    with database.write() as connection:
        save(connection, number, state, {})
    with database.read() as connection:
        after = sizes(connection, number, [9, 2, 1])
    assert (before[3], after[1], after[2]) == (0, before[1], before[2])
    assert before[1] == len('{"email":"crowd@example.org"}')
    assert after[9] == len('{"é":""}'.encode()) + 2_000
