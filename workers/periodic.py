"""Work that is done again and again beside the drains: one process does all of it, each in a thread of its own.

A feature with periodic work adds a row to PERIODIC.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from app.adapters.doorbell import Doorbell
from app.adapters.metrics import Metrics
from app.settings import Settings
from app.store.engine import Database
from workers import rates, segments
from workers.apply import Applier
from workers.retention import Retention
from workers.sweep import Sweeper

Work = Callable[[threading.Event], None]
"""Works until the event is set, and waits out an outage of the database."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What periodic work is made of."""

    settings: Settings
    database: Database
    applier: Applier
    bell: Doorbell
    metrics: Metrics
    now_us: Callable[[], int]


def _sweep(parts: Parts) -> Work:
    return Sweeper(parts.database, parts.applier, parts.bell, parts.settings.sweep_seconds, parts.metrics).run


def _retention(parts: Parts) -> Work:
    most = int(parts.settings.inbox_retention_gigabytes * 10**9)
    hours = parts.settings.inbox_retention_hours
    return Retention(parts.database, parts.now_us, hours, most, parts.metrics.aged_out).run


def _rates(parts: Parts) -> Work:
    return lambda stop: rates.run(parts.database, parts.now_us, stop)


def _segments(parts: Parts) -> Work:
    return lambda stop: segments.run(parts.database, parts.now_us, stop)


#: Name of the thread -> what makes its work.
PERIODIC: Final[Mapping[str, Callable[[Parts], Work]]] = {
    "sweep": _sweep,
    "retention": _retention,
    "rates": _rates,
    "segments": _segments,
}


def run(works: Mapping[str, Work], stop: threading.Event) -> None:
    """Do all of it until `stop`. Work that fails ends the others, and raises: whoever started us starts us again."""
    failures: list[BaseException] = []

    def guarded(work: Work) -> None:
        try:
            work(stop)
        except BaseException as error:  # noqa: BLE001 - nobody else would hear of it
            failures.append(error)
        finally:
            stop.set()

    threads = [threading.Thread(target=guarded, args=(work,), name=name) for name, work in works.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
