"""What waits in a workspace, and the one statement that begins an attempt at it."""

from typing import Any, Final

import pytest
from sqlalchemy import text

from app.store import lane
from app.store.engine import Database
from app.store.inbox import backlog
from app.store.inbox import log as inbox
from app.store.inbox.backlog import Waiting
from app.store.inbox.log import Entry
from tests.stores import NOW_US, workspace

#: Requests in both streams, what the lane has, what waits then, and which streams have work.
WAITING: Final[dict[str, tuple[tuple[int, int], dict[str, int], Waiting, tuple[bool, bool]]]] = {
    "nothing was sent": ((0, 0), {}, Waiting((0, 0), (0, 0), None), (False, False)),
    "single requests": ((2, 0), {}, Waiting((2, 0), (0, 0), None), (True, False)),
    "of both streams": (
        (2, 3),
        {"cursor_normal": 1, "cursor_bulk": 2},
        Waiting((2, 3), (1, 2), None),
        (True, True),
    ),
    "of the bulk stream": ((2, 3), {"cursor_normal": 2}, Waiting((2, 3), (2, 0), None), (False, True)),
    "all is applied": (
        (2, 3),
        {"cursor_normal": 2, "cursor_bulk": 3},
        Waiting((2, 3), (2, 3), None),
        (False, False),
    ),
    "a batch has failed": ((2, 3), {"attempts": 1, "trial_stream": 1}, Waiting((2, 3), (0, 0), 1), (True, True)),
    "a batch has ended": ((2, 3), {"attempts": 0, "trial_stream": 1}, Waiting((2, 3), (0, 0), None), (True, True)),
    "a request was begun": ((2, 3), {"begun_stream": 1, "begun_done": 7}, Waiting((2, 3), (0, 0), 1), (True, True)),
    "begun goes before failed": (
        (2, 3),
        {"begun_stream": 0, "begun_done": 7, "attempts": 2, "trial_stream": 1},
        Waiting((2, 3), (0, 0), 0),
        (True, True),
    ),
}


def sent(database: Database, requests: tuple[int, int], columns: dict[str, int]) -> int:
    """The number of a workspace with so many requests in both streams, and these columns of its lane."""
    one, other = workspace(database, "a"), workspace(database, "b")
    with database.write(database.inbox) as connection:
        for number, many in ((one, requests), (other, (1, 1))):
            for stream, count in enumerate(many):
                if count:
                    inbox.append(connection, number, stream, [Entry(1, 1, b"{}")] * count, NOW_US)
    with database.write() as connection:
        for name, value in columns.items():
            statement = text(f"update lane set {name} = :value where workspace_id = :workspace_id")
            connection.execute(statement, {"value": value, "workspace_id": one})
    return one


def row(database: Database, workspace_id: int) -> dict[str, Any]:
    with database.read() as connection:
        found = connection.execute(text("select * from lane where workspace_id = :w"), {"w": workspace_id})
        return dict(found.mappings().one())


@pytest.mark.parametrize(("requests", "columns", "expected", "behind"), WAITING.values(), ids=WAITING)
def test_what_waits(
    database: Database,
    requests: tuple[int, int],
    columns: dict[str, int],
    expected: Waiting,
    behind: tuple[bool, bool],
) -> None:
    found = backlog.waiting(database, sent(database, requests, columns))
    assert found == expected
    assert found.streams == dict(enumerate(behind))


def test_nothing_waits_in_a_workspace_that_is_gone(database: Database) -> None:
    assert backlog.waiting(database, 4711) == Waiting((0, 0), (0, 0), None)


@pytest.mark.parametrize("stream", [0, 1])
def test_an_attempt_begins(database: Database, stream: int) -> None:
    if not database.is_postgresql:
        pytest.skip("of PostgreSQL alone")
    columns = {"cursor_normal": 1, "cursor_bulk": 2, "hour_normal": 5, "hour_bulk": 6, "applied_n": 3, "epoch": 9}
    one = sent(database, (2, 3), columns)
    with database.read() as connection:
        before, expected = row(database, one), lane.read(connection, one)
    with database.glance() as connection:
        begun = lane.begin(connection, one, stream, 40)
    counted = {"attempts": 1, "trial_stream": stream, "trial_last": (1, 2)[stream] + 40}
    assert row(database, one) == before | counted
    assert expected is not None
    expected.attempts, expected.trial = 1, (stream, counted["trial_last"])
    assert begun == expected


@pytest.mark.parametrize(
    "columns",
    [{"attempts": 1}, {"begun_stream": 1, "begun_done": 3}],
    ids=["the last one failed", "a request was begun"],
)
def test_an_attempt_that_needs_a_closer_look_does_not_begin(database: Database, columns: dict[str, int]) -> None:
    if not database.is_postgresql:
        pytest.skip("of PostgreSQL alone")
    one = sent(database, (2, 3), columns)
    before = row(database, one)
    with database.glance() as connection:
        assert lane.begin(connection, one, 0, 40) is None
    assert row(database, one) == before


def test_an_attempt_does_not_begin_in_a_lane_that_somebody_has(database: Database) -> None:
    if not database.is_postgresql:
        pytest.skip("of PostgreSQL alone")
    one = sent(database, (2, 3), {})
    before = row(database, one)
    with database.write() as holder:
        assert lane.lock(holder, one) is not None
        with database.glance() as connection:
            assert lane.begin(connection, one, 0, 40) is None
            assert lane.begin(connection, 4711, 0, 40) is None
    assert row(database, one) == before


@pytest.mark.parametrize("lazily", [True, False])
def test_what_a_commit_waits_for(database: Database, lazily: bool) -> None:
    if not database.is_postgresql:
        pytest.skip("of PostgreSQL alone")
    one = sent(database, (1, 0), {})
    show = text("show synchronous_commit")
    with database.write() as connection:
        usual = connection.execute(show).scalar()
        assert lane.lock(connection, one, lazily=lazily) is not None
        assert connection.execute(show).scalar() == ("off" if lazily else usual)
    with database.write() as connection:
        assert connection.execute(show).scalar() == usual
