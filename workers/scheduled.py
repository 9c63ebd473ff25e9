"""Jobs that come by the calendar, each at a moment of the time zone of its workspace.

That a job of a period was queued is known for as long as it is kept, so it is queued once in each.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import Connection

from app.store import jobs, workspaces
from app.store.engine import DATABASE_ERRORS, Database
from app.store.segments import run as segments
from app.store.tables import Workspace

log = structlog.get_logger()

INTERVAL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A kind of job that comes by the calendar."""

    kind: str
    #: Whose deletions these are in histories.
    operator: str
    #: When the job of the present period is due, in a time zone; in microseconds, and perhaps to come.
    due_us: Callable[[int, ZoneInfo], int]
    #: Whether a workspace wants the job that was due at a moment, now.
    is_wanted: Callable[[Connection, Workspace, int, int], bool]
    #: Those of all workspaces that may want one, at a moment. Asked first: there may be ten thousand, and few that do.
    candidates: Callable[[Database, int], Iterable[Workspace]]


def queue(database: Database, now_us: int, scheduled: Scheduled) -> int:
    """Queue the jobs of the workspaces for which it is time; how many."""
    queued = 0
    for workspace in scheduled.candidates(database, now_us):
        number = workspaces.number(workspace)
        with database.read() as connection:
            due = scheduled.due_us(now_us, segments.zone_of(connection, number))
            if due > now_us or not scheduled.is_wanted(connection, workspace, due, now_us):
                continue
            latest = jobs.latest(connection, number, scheduled.kind, "")
        if latest is not None and latest.created_us >= due:
            continue
        try:
            with database.write() as connection:
                jobs.create(connection, number, str(uuid4()), scheduled.kind, "", {}, scheduled.operator, now_us)
        except jobs.JobUnderWayError:
            continue
        queued += 1
    return queued


def run(database: Database, now_us: Callable[[], int], stop: threading.Event, scheduled: Scheduled) -> None:
    """Queue what is due every minute, until `stop`."""
    while not stop.wait(INTERVAL_S):
        try:
            if queued := queue(database, now_us(), scheduled):
                log.info("jobs_scheduled", kind=scheduled.kind, workspaces=queued)
        except DATABASE_ERRORS as error:
            log.warning("schedule_failed", kind=scheduled.kind, error=type(error).__name__)
