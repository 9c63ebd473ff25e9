"""What keeps jobs going: the sweeper's part, with the database, and the job worker's part, with the files."""

import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from app.adapters.doorbell import Doorbell
from app.adapters.files import Files
from app.domain.jobs import DELETE_SEGMENT, IMPORT, UNMARK_SEGMENT
from app.domain.times import HOUR
from app.store import job_parts, jobs
from app.store.engine import DATABASE_ERRORS, Database

log = structlog.get_logger()

INTERVAL_S: Final = 2.0
#: Rings for jobs that nobody takes: the worker may be at a long one.
PATIENCE_S: Final = 10.0
EXPIRE_S: Final = 60.0


class Upkeep:
    """Queues the jobs of processes that died again, rings for what waits, and has old files removed."""

    def __init__(
        self, database: Database, bell: Doorbell, now_us: Callable[[], int], import_us: int = 24 * HOUR
    ) -> None:
        """`import_us`: how long a file that somebody sent waits for a job worker."""
        self._database = database
        self._import_us = import_us
        self._bell = bell
        self._now_us = now_us
        self._rung = self._expired = float("-inf")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop`. An outage of the database is waited out."""
        while not stop.wait(INTERVAL_S):
            try:
                self.look()
            except DATABASE_ERRORS as error:
                log.warning("job_upkeep_failed", error=type(error).__name__)

    def look(self) -> None:
        """One look. Raises what the database raises."""
        now_us, now = self._now_us(), time.monotonic()
        with self._database.read() as connection:
            stale = jobs.has_stale(connection, now_us)
            waiting = jobs.are_waiting(connection, now_us)
        if stale:
            with self._database.write() as connection:
                revived, given_up = jobs.revive(connection, now_us)
            log.warning("jobs_revived", again=revived, failed=given_up)
        if (stale or waiting) and now - self._rung > PATIENCE_S and not self._bell.has_jobs_sent():
            self._rung = now
            self._bell.send_jobs()
        if now - self._expired > EXPIRE_S:
            self._expired = now
            with self._database.write() as connection:
                unmark_ended(connection, now_us)
                if waited := jobs.outwait(connection, IMPORT, now_us - self._import_us, now_us):
                    log.warning("imports_outwaited", jobs=waited)
                if removed := job_parts.expire(connection, now_us):
                    log.info("jobs_aged_out", jobs=removed)
            if not self._bell.has_jobs_sent():
                self._bell.send_tidy()


def unmark_ended(connection: Connection, now_us: int) -> None:
    """Queue what takes the marks of deletions back that failed, or that were cancelled and nobody saw to it."""
    for job in jobs.ended_with_parts(connection, DELETE_SEGMENT):
        if jobs.under_way(connection, job.workspace_id, UNMARK_SEGMENT, job.id) is None:
            jobs.create(connection, job.workspace_id, str(uuid4()), UNMARK_SEGMENT, job.id, {}, job.created_by, now_us)


def tidy(database: Database, files: Files, now_us: Callable[[], int]) -> int:
    """Remove files that no job has any more. Returns how many. Raises what the database and the disk raise."""

    def wanted() -> frozenset[str]:
        with database.read() as connection:
            return jobs.with_files(connection, now_us())

    removed = files.tidy(wanted)
    if removed:
        log.info("files_removed", files=removed)
    return removed
