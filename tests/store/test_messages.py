"""Message ids of calls: each counts once for seven days, of a bounded number for each app, whoever stores it."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.times import DAY
from app.store import partitions
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox import messages
from app.store.inbox.log import Entry, UnknownWorkspaceError
from tests.polling import until
from tests.stores import NOW_US, workspace

MANY = 1_000_000
ONE, TWO = b"app-one.", b"app-two."


def digest(name: str, app: bytes = ONE) -> bytes:
    """What stands for a message id. "" is none."""
    return app + name.encode().ljust(16, b".") if name else b""


def entry(*names: str, app: bytes = ONE) -> Entry:
    """A request of calls with these ids."""
    return Entry(1, 1, b"{}" + b" " * len(names), None, tuple(digest(name, app) for name in names))


def accept(
    database: Database, workspace_id: int, entries: Sequence[Entry], us: int = NOW_US, most: int = MANY
) -> list[str]:
    """Store requests in one flush. For each: one letter a call, `n` for a new one, `k` for a known one."""
    with database.write(database.inbox) as connection:
        marked = messages.mark(connection, workspace_id, 0, entries, us, most)
        inbox.append(connection, workspace_id, 0, marked, us)
    return [_letters(one.body) for one in marked]


def _letters(body: bytes) -> str:
    assert body.startswith(b"{}")
    return body[2:].decode().translate({ord(" "): "n", messages.KNOWN: "k"})


def remembered(database: Database, app: bytes = ONE) -> list[str]:
    """The ids of an app, the oldest first."""
    with database.read(database.inbox) as connection:
        rows = connection.execute(text("select digest from inbox_message where app = :app order by n"), {"app": app})
        return [bytes(row[0])[8:].decode().rstrip(".") for row in rows]


def test_an_id_counts_once_in_a_request_a_flush_and_afterwards(database: Database) -> None:
    one, two = workspace(database, "one"), workspace(database, "two")
    assert accept(database, one, [entry("a", "b", "a", "", ""), entry("c", "b"), entry()]) == ["nnknn", "nk", ""]
    assert accept(database, one, [entry("d", "a"), entry("", "c")]) == ["nk", "nk"]
    # It is that of an app of a workspace.
    assert accept(database, one, [entry("a", app=TWO)]) == ["n"]
    assert accept(database, two, [entry("a"), entry("a")]) == ["n", "k"]
    with database.read(database.inbox) as connection:
        stored = [_letters(one.body) for one in inbox.read(connection, one, 0, 0, 0, 100)]
    assert stored == ["nnknn", "nk", "", "nk", "nk", "n"]


@pytest.mark.parametrize(
    ("later", "found"),
    [(0, "k"), (DAY, "k"), (7 * DAY, "k"), (8 * DAY - 1 - NOW_US % DAY, "k"), (8 * DAY - NOW_US % DAY, "n")],
    ids=["at once", "a day", "seven days", "the last moment", "forgotten"],
)
def test_an_id_is_known_for_seven_days(database: Database, later: int, found: str) -> None:
    one = workspace(database)
    accept(database, one, [entry("a")])
    partitions.prepare(database, NOW_US + later)
    assert accept(database, one, [entry("a"), entry("a")], NOW_US + later) == [found, "k"]
    assert accept(database, one, [entry("a")], NOW_US + later) == ["k"]


def test_what_is_over_is_forgotten_by_retention(database: Database) -> None:
    one = workspace(database)
    for n in range(3):
        partitions.prepare(database, NOW_US + n * DAY)
        accept(database, one, [entry(f"day {n}"), entry(f"day {n}", app=TWO)], NOW_US + n * DAY)
    for n, left in ((7, ["day 0", "day 1", "day 2"]), (8, ["day 1", "day 2"]), (9, ["day 2"]), (10, [])):
        partitions.expire(database, NOW_US + n * DAY, 10_000)
        assert (remembered(database), remembered(database, TWO)) == (left, left)
    partitions.prepare(database, NOW_US + 10 * DAY)
    assert accept(database, one, [entry("day 0"), entry("new")], NOW_US + 10 * DAY) == ["n", "n"]
    assert remembered(database) == ["day 0", "new"]


def test_the_oldest_ids_of_an_app_go_when_there_are_too_many(database: Database) -> None:
    one, two = workspace(database, "one"), workspace(database, "two")
    accept(database, one, [entry("other", app=TWO)], most=3)
    accept(database, two, [entry("other")], most=3)
    for n in range(5):
        assert accept(database, one, [entry(f"{n}")], most=3) == ["n"]
        assert len([name for name in remembered(database) if name != "other"]) == min(n + 1, 3)
    assert accept(database, one, [entry("4", "3", "2")], most=3) == ["kkk"]
    assert accept(database, one, [entry("0")], most=3) == ["n"]  # it was forgotten, so it counts again
    assert accept(database, one, [entry("2"), entry("3")], most=3) == ["n", "k"]  # and another one for it
    assert accept(database, one, [entry("other", app=TWO)], most=3) == ["k"]
    assert accept(database, two, [entry("other")], most=3) == ["k"]
    # Of one request that has more ids than are remembered, the last ones are.
    assert accept(database, one, [entry(*"abcdefg")], most=3) == ["nnnnnnn"]
    assert remembered(database)[-3:] == ["e", "f", "g"]
    assert accept(database, one, [entry(*"ga")], most=3) == ["kn"]


def test_a_smaller_bound_is_reached_little_by_little(database: Database) -> None:
    one = workspace(database)
    accept(database, one, [entry(*(f"{n}" for n in range(250)))])
    left = []
    for name in "xyz":
        accept(database, one, [entry(name)], most=10)
        left.append(len(remembered(database)))
    assert left == [150, 50, 10]
    assert remembered(database)[-4:] == ["249", "x", "y", "z"]


def test_forgetting_compares_no_id_with_each_other(database: Database) -> None:
    """Nor where PostgreSQL knows nothing of the table yet: thousands of ids in one commit, for which others wait."""
    number = workspace(database)
    accept(database, number, [entry("a")])
    values = {"workspace_id": number, "app": ONE, "upto": MANY, "chunk": MANY}
    explain = "explain" if database.is_postgresql else "explain query plan"
    with database.read(database.inbox) as connection:
        plan = [str(row) for row in connection.execute(text(f"{explain} {messages._FORGET}"), values)]
    assert plan
    assert not [line for line in plan if "Join" in line or "LIST SUBQUERY" in line or "Nested Loop" in line]


def test_a_flush_of_many_large_batches(database: Database) -> None:
    """More ids than a statement of SQLite takes values."""
    one = workspace(database)
    batches = 2 if database.is_postgresql else 17  # an array is one value
    entries = [entry(*(f"{n}.{m}" for m in range(2_000))) for n in range(batches)]
    assert set(accept(database, one, entries)) == {"n" * 2_000}
    assert set(accept(database, one, entries)) == {"k" * 2_000}


def test_ids_and_request_are_one_commit(database: Database) -> None:
    one = workspace(database)

    def fail() -> None:
        with database.write(database.inbox) as connection:
            messages.mark(connection, one, 0, [entry("a")], NOW_US, MANY)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert accept(database, one, [entry("a")]) == ["n"]
    with pytest.raises(UnknownWorkspaceError):
        accept(database, 4711, [entry("a")])


def test_a_call_that_another_process_has_not_committed_yet(database: Database) -> None:
    """The second flush waits for the first, and then sees its ids, although it began before these were there."""
    one, found = workspace(database), list[str]()
    other = Database(database.url)  # as another process has it
    thread = threading.Thread(target=lambda: found.extend(accept(other, one, [entry("b", "a"), entry("a", "c")])))
    with database.write(database.inbox) as connection:
        marked = messages.mark(connection, one, 0, [entry("a")], NOW_US, MANY)
        inbox.append(connection, one, 0, marked, NOW_US)
        thread.start()
        if database.is_postgresql:  # on SQLite it cannot even begin
            until(lambda: _waiting(database), message="the second flush does not wait")
    thread.join()
    other.dispose()
    assert found == ["nk", "kn"]
    assert remembered(database) == ["a", "b", "c"]


def test_the_same_calls_by_several_processes_at_once(database: Database) -> None:
    one, names = workspace(database), [f"{n}" for n in range(30)]
    found: list[Any] = []
    start = threading.Barrier(3)

    def process(order: list[str]) -> None:
        own = Database(database.url)
        start.wait()
        found.extend((name, *accept(own, one, [entry(name)])) for name in order)
        own.dispose()

    threads = [threading.Thread(target=process, args=(order,)) for order in (names, names[::-1], names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted((name, letter) for name in names for letter in "nkk")
    assert sorted(remembered(database)) == sorted(names)


def _waiting(database: Database) -> bool:
    with database.read() as connection:
        waiting = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        return bool(connection.execute(text(waiting)).scalar())
