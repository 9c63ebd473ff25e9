"""Ageing out: partitions are made ahead of time, and applied requests are dropped when nobody needs them any more."""

from collections.abc import Callable
from typing import Final

import structlog

from app.store import partitions
from app.store.engine import Database

log = structlog.get_logger()

INTERVAL_US: Final = 60 * 1_000_000


class Retention:
    """Called by the sweeper after every look; works once a minute."""

    def __init__(self, database: Database, now_us: Callable[[], int], inbox_hours: int) -> None:
        self._database = database
        self._now_us = now_us
        self._inbox_hours = inbox_hours
        self._due = 0

    def tick(self) -> None:
        """Do what is due. Raises what the database raises."""
        now = self._now_us()
        if now < self._due and now > self._due - 2 * INTERVAL_US:  # a clock that stepped back must not stop the work
            return
        self._due = now + INTERVAL_US
        self.work(now)

    def work(self, now: int) -> None:
        """Make partitions for what is coming, and drop what is over."""
        partitions.prepare(self._database, now)
        dropped = partitions.expire(self._database, now, self._inbox_hours)
        if dropped:
            log.info("aged_out", **dropped)
