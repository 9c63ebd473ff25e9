"""When workspaces are archived: on Sundays at 05:30 of their time zone, those that want it."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog

from app.domain.jobs import ARCHIVAL
from app.store import jobs, workspaces
from app.store.engine import DATABASE_ERRORS, Database
from app.store.segments import run as segments

log = structlog.get_logger()

INTERVAL_S: Final = 60.0
#: Option of a workspace: since when it wants it, in microseconds; null = it does not.
OPTION: Final = "archival"
#: Whose deletions these are in histories.
OPERATOR: Final = "onefold archival"
_SUNDAY: Final = 6


def due_us(now_us: int, zone: ZoneInfo) -> int:
    """The last Sunday, 05:30, of a time zone."""
    now = datetime.fromtimestamp(now_us / 1_000_000, zone)
    day = now.date() - timedelta(days=(now.weekday() - _SUNDAY) % 7)
    at = datetime(day.year, day.month, day.day, 5, 30, tzinfo=zone)
    if at > now:
        at = datetime(day.year, day.month, day.day, 5, 30, tzinfo=zone) - timedelta(days=7)
    return int(at.timestamp()) * 1_000_000


def queue(database: Database, now_us: int) -> int:
    """Queue the archival of the workspaces for which it is time; how many."""
    queued = 0
    for workspace in workspaces.listed(database):
        since = workspace.options.get(OPTION)
        if not isinstance(since, int):
            continue
        number = workspaces.number(workspace)
        with database.read() as connection:
            due = due_us(now_us, segments.zone_of(connection, number))
            latest = jobs.latest(connection, number, ARCHIVAL, "")
        if due <= since or (latest is not None and latest.created_us >= due):
            continue
        try:
            with database.write() as connection:
                jobs.create(connection, number, str(uuid4()), ARCHIVAL, "", {}, OPERATOR, now_us)
        except jobs.JobUnderWayError:
            continue
        queued += 1
    return queued


def run(database: Database, now_us: Callable[[], int], stop: threading.Event) -> None:
    """Queue what is due every minute, until `stop`."""
    while not stop.wait(INTERVAL_S):
        try:
            if queued := queue(database, now_us()):
                log.info("archival_queued", workspaces=queued)
        except DATABASE_ERRORS as error:
            log.warning("archival_failed", error=type(error).__name__)
