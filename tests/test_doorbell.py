"""Doorbells on a real broker: one ring at a time for each queue, and those with somebody waiting come first."""

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.message import Message
from kombu.messaging import Consumer

from app.adapters.doorbell import Doorbell
from app.bootstrap import background
from app.cli.children import QUEUES
from app.settings import Settings
from tests.polling import until
from tests.servers import ValkeyServer


@pytest.fixture
def settings(valkey_server: ValkeyServer, tmp_path: Path) -> Iterator[Settings]:
    prefix = f"test-{uuid.uuid4().hex[:12]}:"
    yield Settings(data_dir=tmp_path, DATABASE_URL="", REDIS_URL=valkey_server.url, BROKER_URL="", key_prefix=prefix)
    with redis.Redis.from_url(valkey_server.url) as client:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)


@pytest.fixture
def bell(settings: Settings) -> Iterator[Doorbell]:
    found = background.doorbell(settings, background.celery(settings, producer=True))
    yield found
    found.close()


def test_one_ring_at_a_time_for_each_queue(bell: Doorbell) -> None:
    def settled() -> bool:
        return bell.rung + bell.suppressed == expected

    expected = 0
    every: list[Callable[[], None]] = [
        lambda: bell.ring((1, 0)),
        lambda: bell.ring((1, 1)),
        lambda: bell.ring_waiting(1),
        lambda: bell.ring_waiting(2),
    ]
    for ring in [*every, every[0], every[2]]:
        ring()
        expected += 1
        until(settled)
    assert (bell.rung, bell.suppressed, bell.failed) == (4, 2, 0)
    bell.clear(1)
    for ring in every[:3]:
        ring()
        expected += 1
        until(settled)
    assert (bell.rung, bell.suppressed, bell.failed) == (7, 2, 0)


def test_a_worker_looks_first_where_somebody_waits(settings: Settings, bell: Doorbell) -> None:
    """Whatever it did last: the other queues take turns behind."""
    app = background.celery(settings)
    for workspace in (1, 2, 3):
        assert bell.send(workspace, "normal")
        assert bell.send(workspace, "bulk")
    delivered: list[str] = []

    def note(_body: object, message: Message) -> None:
        delivered.append(message.delivery_info["routing_key"])
        message.ack()

    queues = [Queue(name, routing_key=name) for name in QUEUES.split(",")]
    with app.connection_for_read() as connection:
        consumer: Consumer = Consumer(connection, queues, callbacks=[note], accept=["json"], prefetch_count=1)
        with consumer:
            for _ in range(2):
                drained(connection)
                assert bell.send(4, "sync")
                drained(connection)
            for _ in range(4):
                drained(connection)
    assert delivered[1::2][:2] == ["sync", "sync"]
    others = [name for name in delivered if name != "sync"]
    assert sorted(others) == ["bulk"] * 3 + ["normal"] * 3
    assert all(first != second for first, second in itertools.pairwise(others))


def drained(connection: Connection) -> None:
    connection.drain_events(timeout=10)


def test_a_drain_that_has_more_to_do_rings_on_without_adding_a_ring(bell: Doorbell, settings: Settings) -> None:
    def outstanding() -> bool:
        return bool(keys.exists(f"{settings.key_prefix}bell:1:normal"))

    with redis.Redis.from_url(settings.redis()) as keys:
        bell.ring((1, 0))
        until(lambda: bell.rung == 1)
        bell.send_on(1, "sync")  # the ring of the other queue is enough
        bell.send_on(1, "bulk")
        assert (bell.rung, outstanding()) == (1, True)
        bell.send_on(1, "normal")  # in place of itself
        assert (bell.rung, outstanding()) == (2, True)
        bell.clear(1)
        bell.send_on(1, "sync")
        assert (bell.rung, outstanding()) == (3, True)
        bell.ring((1, 0))
        until(lambda: bell.suppressed == 1)
    assert bell.rung == 3


def test_a_ring_that_could_not_be_sent_holds_back_none_that_can(settings: Settings) -> None:
    """The broker is away, and bell keys are elsewhere, as with a BROKER_URL of its own."""
    nobody = "redis://127.0.0.1:1/0"
    bell = background.doorbell(
        settings, background.celery(settings.model_copy(update={"broker_url": nobody}), producer=True)
    )
    with redis.Redis.from_url(settings.redis()) as keys:
        bell.ring((1, 0))
        until(lambda: bell.failed == 1)
        bell.send_on(2, "normal")
        until(lambda: list(keys.scan_iter(f"{settings.key_prefix}bell:*")) == [], 3)  # before they expire
        assert (bell.rung, bell.failed) == (0, 2)
    bell.close()
