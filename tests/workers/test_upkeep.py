"""What keeps jobs going: dead holders are noticed, what waits is rung for, and rings do not pile up."""

import itertools

import pytest
import redis
from sqlalchemy import text

from app.bootstrap import background
from app.store import jobs
from app.store.engine import Database
from app.store.jobs import LEASE_US
from tests.api.harness import settings_for
from tests.servers import ValkeyServer
from tests.stores import NOW_US, workspace
from workers.jobs import upkeep
from workers.jobs.upkeep import Upkeep


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "PATIENCE_S", -1.0)
    monkeypatch.setattr(upkeep, "EXPIRE_S", -1.0)


@pytest.mark.usefixtures("impatient")
def test_without_a_worker_one_message_waits(
    database: Database, valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = settings_for("", valkey_server.url, tmp_path_factory.mktemp("x"))
    bell = background.doorbell(settings, background.celery(settings, producer=True))
    client = redis.Redis.from_url(valkey_server.url)
    one = workspace(database)
    with database.write() as connection:
        jobs.create(connection, one, "a", "archive", "t", {}, "", NOW_US)
    work = Upkeep(database, bell, itertools.count(NOW_US).__next__)
    try:
        for _ in range(5):
            work.look()
        assert client.llen(f"{settings.key_prefix}jobs") == 1
    finally:
        for key in client.scan_iter(f"{settings.key_prefix}*"):
            client.delete(key)
        client.close()


def test_a_holder_that_died_is_noticed(database: Database) -> None:
    one = workspace(database)
    with database.write() as connection:
        jobs.create(connection, one, "a", "archive", "t", {}, "", NOW_US)
    for attempt in range(1, jobs.MAX_ATTEMPTS + 1):
        held = jobs.claim(database, "me", NOW_US)
        assert held is not None
        assert held.attempts == attempt
        with database.write() as connection:
            assert jobs.beat(connection, held, NOW_US + LEASE_US // 2)
            assert jobs.revive(connection, NOW_US + LEASE_US) == (0, 0)
            last = attempt == jobs.MAX_ATTEMPTS
            assert jobs.revive(connection, NOW_US + 2 * LEASE_US) == ((0, 1) if last else (1, 0))
            assert not jobs.beat(connection, held, NOW_US + 2 * LEASE_US)
    with database.read() as connection:
        states = connection.execute(text("select state, error from job")).all()
    assert [tuple(row) for row in states] == [("failed", "interrupted")]
