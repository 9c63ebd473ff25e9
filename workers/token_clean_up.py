"""When profiles of imported push tokens are cleaned up: on the first of each month, at 05:30 of the workspace's zone.

That it was done in this month is known for as long as the job is kept. So the job is queued in the first days of a
month alone; where no sweeper ran then, the next month has its turn.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog

from app.domain.jobs import TOKEN_CLEAN_UP
from app.domain.times import DAY
from app.store import jobs, workspaces
from app.store.engine import DATABASE_ERRORS, Database
from app.store.profiles import imported
from app.store.segments import run as segments

log = structlog.get_logger()

INTERVAL_S: Final = 60.0
#: How long after it was due the job is queued; shorter than jobs are kept.
WINDOW_US: Final = 5 * DAY
#: Whose deletions these are in histories.
OPERATOR: Final = "onefold token clean-up"


def due_us(now_us: int, zone: ZoneInfo) -> int:
    """The first of this month, 05:30, of a time zone. It may be to come."""
    now = datetime.fromtimestamp(now_us / 1_000_000, zone)
    return int(datetime(now.year, now.month, 1, 5, 30, tzinfo=zone).timestamp()) * 1_000_000


def queue(database: Database, now_us: int) -> int:
    """Queue the clean-up of the workspaces for which it is time, and that have such profiles; how many."""
    queued = 0
    for workspace in workspaces.listed(database):
        number = workspaces.number(workspace)
        with database.read() as connection:
            due = due_us(now_us, segments.zone_of(connection, number))
            if not due <= now_us < due + WINDOW_US or not imported.page(connection, number, 0, 1):
                continue
            latest = jobs.latest(connection, number, TOKEN_CLEAN_UP, "")
        if latest is not None and latest.created_us >= due:
            continue
        try:
            with database.write() as connection:
                jobs.create(connection, number, str(uuid4()), TOKEN_CLEAN_UP, "", {}, OPERATOR, now_us)
        except jobs.JobUnderWayError:
            continue
        queued += 1
    return queued


def run(database: Database, now_us: Callable[[], int], stop: threading.Event) -> None:
    """Queue what is due every minute, until `stop`."""
    while not stop.wait(INTERVAL_S):
        try:
            if queued := queue(database, now_us()):
                log.info("token_clean_up_queued", workspaces=queued)
        except DATABASE_ERRORS as error:
            log.warning("token_clean_up_failed", error=type(error).__name__)
