"""Faults of Redis behind sentinels: whichever server is the primary, requests are counted and workers are rung for."""

from typing import Final

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from app.adapters.doorbell import client
from app.bootstrap import background
from app.settings import Settings
from fault.rounds import Round, Scenario
from fault.stack import Layout
from tests import sentinels
from tests.polling import until

BACK_SECONDS: Final = 30.0


def fail_over(now: Round) -> None:
    """53: SIGKILL for the primary of Redis, twice: another one takes its place, and the one before follows it."""
    group = now.stack.group
    assert group is not None
    for _ in range(2):
        now.accept_more(10)
        before = now.load.accepted()
        group.fail_over()
        now.accept_more(10)
        until(lambda: _counted(now, group), BACK_SECONDS, message="no API counts in the new primary")
        until(lambda: _workers(group), BACK_SECONDS, message="no worker listens at the new primary")
        now.hit(now.load.accepted() > before)


def _counted(now: Round, group: sentinels.Group) -> bool:
    """Whether quotas of our workspace are in the primary."""
    connection = client(group.url)
    try:
        return bool(connection.keys(f"*q:{{{now.workspace.id}}}:*"))
    except (RedisError, OSError):
        return False
    finally:
        connection.close()


def _workers(group: sentinels.Group) -> bool:
    """Whether a worker answers by way of the broker."""
    app = background.celery(Settings(REDIS_URL=group.url), producer=True)
    try:
        return bool(app.control.ping(timeout=1.0))
    except (KombuError, RedisError, OSError):  # whoever becomes a replica drops its clients
        return False
    finally:
        app.close()


SCENARIOS: Final = (
    Scenario(
        53,
        "Redis behind sentinels: the primary killed",
        "requests were accepted while another server took its place",
        fail_over,
        layout=Layout(sentinels=True),
        clean=True,
        lag_seconds=8,
    ),
)
