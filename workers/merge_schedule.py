"""Runs of merge rules by schedule: one on each day of a workspace, soon after the day begins."""

import threading
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import structlog

from app.domain.segments.clock import Clock
from app.store import jobs, merge_runs
from app.store.engine import DATABASE_ERRORS, Database
from app.store.segments.run import zone_of

log = structlog.get_logger()

INTERVAL_S: Final = 20.0
#: Who starts them, in place of an API key.
STARTED_BY: Final = "schedule"


def look(database: Database, now_us: int, most: int) -> int:
    """Queue the runs that are due; how many. Of each workspace at most `most` runs are kept.

    Where a run that somebody started is under way, that of the schedule waits for its end. Two sweepers may look at
    the same time: the first one that commits has the day.
    """
    started = 0
    with database.read() as connection:
        scheduled = merge_runs.setups(connection)
    for workspace_id, setup in scheduled.items():
        try:
            with database.write() as connection:
                clock = Clock(now_us, zone_of(connection, workspace_id))
                if not merge_runs.is_due(connection, workspace_id, setup, clock):
                    continue
                day = merge_runs.day_of(clock)
                merge_runs.start(connection, workspace_id, str(uuid4()), setup.rules, STARTED_BY, now_us, day)
        except jobs.JobUnderWayError:
            continue
        started += 1
    merge_runs.expire(database, most)
    return started


def run(database: Database, now_us: Callable[[], int], most: int, stop: threading.Event) -> None:
    """Look again and again, until `stop`."""
    while not stop.wait(INTERVAL_S):
        try:
            started = look(database, now_us(), most)
            if started:
                log.info("merge_runs_scheduled", runs=started)
        except DATABASE_ERRORS as error:
            log.warning("merge_schedule_failed", error=type(error).__name__)
