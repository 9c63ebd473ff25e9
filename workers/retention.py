"""Ageing out: partitions are made ahead of time, and applied requests are dropped when nobody needs them any more."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from app.domain.times import HOUR, MINUTE
from app.store import api_usage, erasure, merges, outbox, partitions, past, refused, series
from app.store.engine import DATABASE_ERRORS, Database
from app.store.inbox import size
from app.store.retained import Keeping, Retained

log = structlog.get_logger()

INTERVAL_US: Final = 60 * 1_000_000
#: Rounds of erasing in one go; the rest waits for the next one.
ERASE_ROUNDS: Final = 20
_NO_BOUNDS: Final = past.Bounds(dead_letters=2**62, dead_letter_bytes=2**62)
_ALL: Final = Keeping()


@dataclass(frozen=True, slots=True)
class UsageKept:
    """How long it is known how often keys called endpoints, and how many rows of it a workspace has."""

    hours: int = 24 * 36_500
    rows: int = 2**62


@dataclass(frozen=True, slots=True)
class OutboxKept:
    """How long messages wait for webhooks, and bytes of those of a workspace."""

    hours: float = 24 * 36_500
    bytes: int = 2**62


_ALL_USAGE: Final = UsageKept()
_WHOLE_OUTBOX: Final = OutboxKept()
_EVERY_REFUSAL: Final = refused.Keeping(rows=2**31, days=100_000)
#: What a queued request may still need stays a little longer: what it takes to undo a merge, and orphaned consent.
SLACK_US: Final = 24 * 60 * INTERVAL_US


class Retention:
    """Works once a minute, in a thread of the sweeper's process, since it may take long."""

    def __init__(
        self,
        database: Database,
        now_us: Callable[[], int],
        inbox_hours: int,
        inbox_bytes: int = 0,
        aged_out: Callable[[dict[str, int]], None] = lambda _dropped: None,
        bounds: past.Bounds = _NO_BOUNDS,
        keeping: Keeping = _ALL,
        usage: UsageKept = _ALL_USAGE,
        refusals: refused.Keeping = _EVERY_REFUSAL,
        outbox_kept: OutboxKept = _WHOLE_OUTBOX,
    ) -> None:
        """Applied requests are kept for `inbox_hours`, and for less while the inbox has more than `inbox_bytes`.

        `aged_out` gets the number of what was dropped, by table.
        """
        self._database = database
        self._now_us = now_us
        self._inbox_hours = inbox_hours
        self._inbox_bytes = inbox_bytes
        self._aged_out = aged_out
        self._bounds = bounds
        self._retained = Retained(database, keeping)
        self._usage = usage
        self._refusals = refusals
        self._outbox_kept = outbox_kept
        self._due = 0
        #: Hour of the last look at series: nothing of them ends more often.
        self._hour = 0

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. An outage of the database is waited out."""
        while not stop.wait(1.0):
            try:
                self.tick()
            except DATABASE_ERRORS as error:
                log.warning("retention_failed", error=type(error).__name__)

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
        dropped |= past.trim(self._database, self._bounds)
        dropped |= self._retained.trim(now)
        addresses = erasure.forget_addresses(self._database, now - SLACK_US)
        if gone := refused.trim(self._database, now, self._refusals):
            dropped["refused_requests"] = gone
        kept = self._outbox_kept
        if unsent := outbox.trim(self._database, now - int(kept.hours * HOUR), kept.bytes):
            dropped["webhook_messages"] = unsent
            log.warning("webhook_messages_dropped", messages=unsent)
        if forgotten := merges.expire(self._database, now - SLACK_US):
            dropped["merge_record"] = forgotten
        if (hour := now // HOUR) != self._hour:
            if over := series.expire(self._database, now):
                dropped["series"] = over
            before = (now - self._usage.hours * HOUR) // MINUTE
            if over := api_usage.expire(self._database, before, self._usage.rows):
                dropped["api_usage"] = over
            self._hour = hour
        if addresses:
            dropped["address_state"] = addresses
        if dropped:
            log.info("aged_out", counts=dropped)
            self._aged_out(dropped)
        erased = self._erase(now)
        if erased:
            log.info("erased", profiles=erased)
        is_whole = not self._database.nodes_away  # dropping partitions takes all nodes
        if self._inbox_bytes and is_whole and (shrunk := size.shrink(self._database, now, self._inbox_bytes)):
            log.info("inbox_shrunk", counts=shrunk)
            self._aged_out({f"inbox_{what}": number for what, number in shrunk.items()})

    def _erase(self, now: int) -> int:
        """Delete what is left of deleted people, those of one workspace in a round."""
        erased = 0
        for _ in range(ERASE_ROUNDS):
            found = erasure.erase(self._database, now)
            erased += found
            if not found:
                break
        return erased
