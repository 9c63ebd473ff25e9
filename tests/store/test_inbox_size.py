"""The inbox within a size on both stores: the oldest applied requests go, and none that is queued."""

import os

from app.domain.times import HOUR
from app.store import partitions
from app.store.engine import Database
from app.store.inbox import backlog, size
from app.store.inbox.backlog import Backlog
from app.store.inbox.log import Entry
from app.store.inbox.log import append as store
from tests.store.inboxes import apply_up_to, kept
from tests.stores import NOW_US, workspace

BODY = 20_000


def append(database: Database, workspace_id: int, n: int, now_us: int, stream: int = 0) -> None:
    """`n` requests whose bodies nothing can compress."""
    with database.write(database.inbox) as connection:
        store(connection, workspace_id, stream, [Entry(1, 1, os.urandom(BODY)) for _ in range(n)], now_us)


def test_the_oldest_applied_requests_go_first(database: Database) -> None:
    one, two = workspace(database, "one"), workspace(database, "two")
    for hours in (3, 2, 1):
        partitions.prepare(database, NOW_US - hours * HOUR)
        append(database, one, 20, NOW_US - hours * HOUR)
    append(database, one, 20, NOW_US)
    append(database, two, 1, NOW_US - 2 * HOUR)
    apply_up_to(database, one, 70)
    before = size.size(database)
    assert size.shrink(database, NOW_US, before) == {}
    most = before - 32 * BODY  # more than the first hour has
    found = size.shrink(database, NOW_US, most, chunk=5)
    assert size.size(database) <= most
    left = kept(database, one)
    if database.is_postgresql:
        # the first hour; the second holds a queued request of another workspace and is halved; then the third
        assert found == {"partitions": 2, "requests": 10}
        assert left == [*range(31, 41), *range(61, 81)]
    else:
        assert found == {"requests": len(range(1, left[0]))}
        assert left == list(range(left[0], 81))
        assert 21 < left[0] <= 41
    assert kept(database, two) == [1]


def test_nothing_that_is_queued_goes(database: Database) -> None:
    one = workspace(database)
    append(database, one, 20, NOW_US)
    append(database, one, 20, NOW_US, stream=1)
    apply_up_to(database, one, 10)
    for _ in range(6):
        size.shrink(database, NOW_US, 1)
    assert kept(database, one)[-10:] == list(range(11, 21))
    assert len(kept(database, one)) <= 11
    assert kept(database, one, stream=1) == list(range(1, 21))
    assert backlog.read(database, NOW_US) == {(one, 0): Backlog(10, NOW_US + 20), (one, 1): Backlog(20, NOW_US + 1)}
