"""The sweeper outlives the database, and drains by itself when the broker is away."""

import threading

import psycopg

from app.adapters.metrics import Metrics
from app.bootstrap import background
from app.settings import Settings
from app.store.engine import Database
from app.store.inbox.log import Stored
from tests.accepting import ADA, track
from tests.applying import applier, cursors, differences
from tests.stores import workspace
from workers.sweep import Sweeper


def test_a_lost_connection_does_not_end_the_sweeper(database: Database) -> None:
    """The error of a bulk write is psycopg's own, since it goes past SQLAlchemy."""
    one, faults, stop = workspace(database), [psycopg.OperationalError("gone")], threading.Event()
    track(database, one, ADA)

    def break_down(_workspace: int, _batch: list[Stored]) -> None:
        if faults:
            raise faults.pop()

    def seen() -> None:
        if cursors(database, one) == [1, 0]:
            stop.set()

    dead = Settings(redis_url="redis://127.0.0.1:1/0")
    bell = background.doorbell(dead, background.celery(dead, producer=True))
    guard = threading.Timer(30, stop.set)
    guard.start()
    Sweeper(database, applier(database, before_commit=break_down), bell, 0.05, Metrics()).run(stop, seen)
    guard.cancel()
    assert faults == []
    assert cursors(database, one) == [1, 0]
    assert differences(database, one) == []


def test_without_a_broker_the_sweeper_waits_for_nobody(database: Database) -> None:
    """The first look finds out that the broker is away; from then on work is done when it is first seen."""
    one = workspace(database)
    dead = Settings(redis_url="redis://127.0.0.1:1/0")
    bell = background.doorbell(dead, background.celery(dead, producer=True))
    sweeper = Sweeper(database, applier(database), bell, 0.05, Metrics())
    options = background.celery(dead, producer=True).conf.broker_transport_options
    assert options["max_retries"] == 1  # else each look takes 6 s
    track(database, one, ADA)
    assert [[summary.requests for summary in sweeper.look()] for _ in range(2)] == [[], [1]]
    track(database, one, ADA)
    assert [summary.requests for summary in sweeper.look()] == [1]
    assert sweeper.look() == []
