"""Faults of RabbitMQ as the broker: doorbells may be lost, and accepting does not depend on it."""

from contextlib import suppress
from typing import Final

from fault.rounds import Round, Scenario
from fault.stack import Layout
from tests import brokers
from tests.polling import until

ALARM_SECONDS: Final = 3.0


def broker(now: Round) -> None:
    """16: a worker killed, the broker killed and started anew, and its memory alarm, which blocks who publishes."""
    rabbit = _rabbit(now)
    now.kill_forked(jobs=False)
    now.pause(0.2, 0.5)
    rabbit.kill9()
    with now.outage(now.rng.uniform(0.5, 1.5)):
        _goes_on(now)
    rabbit.start()
    _goes_on(now)
    rabbit.control("set_vm_memory_high_watermark", "0")
    try:
        with now.outage(ALARM_SECONDS):
            _goes_on(now)
    finally:
        rabbit.control("set_vm_memory_high_watermark", "0.4")
    _goes_on(now)


def _goes_on(now: Round) -> None:
    """A hit: requests are accepted and applied in that state."""
    before = now.cursor()
    now.accept_more(10)
    with suppress(AssertionError):
        until(lambda: now.cursor() > before, 10, message="nothing is applied")
    now.hit(now.cursor() > before)
    if now.cursor() == before:
        now.blame("apply: nothing is applied")


def _rabbit(now: Round) -> brokers.Rabbit:
    assert now.stack.rabbit is not None
    return now.stack.rabbit


SCENARIOS: Final = (
    Scenario(
        16,
        "RabbitMQ: kill -9 and restart, memory alarm, a worker killed",
        "requests were accepted and applied meanwhile",
        broker,
        layout=Layout(rabbitmq=True, processes=2),
        clean=True,
        lag_seconds=8,
    ),
)
