"""Archives: all that is held about a person, made by a job, or at once for an operator."""

from typing import Final

from app.domain.jobs import ARCHIVE, DONE, QUEUED, RUNNING
from app.domain.profile import BRAZE
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.jobs import Job, Jobs
from app.services.reading import Reader
from app.services.refusals import JobUnderWayError, UnknownProfileError
from app.store.engine import Database
from app.store.profiles import look_up

#: So long a finished archive is given again to whoever asks.
FRESH_US: Final = 10 * 60 * 1_000_000


class Archives:
    """One per API process."""

    def __init__(self, database: Database, reader: Reader, calls: StoreCalls, jobs: Jobs) -> None:
        self._database = database
        self._reader = reader
        self._calls = calls
        self._jobs = jobs

    async def of(self, caller: Caller, braze_id: str, reached_at: str, now_us: int) -> Job:
        """The job that makes the archive of a profile: one that is under way, one that was done lately, or a new one.

        Raises UnknownProfileError, and as Jobs.start.
        """
        await self._reader.catch_up(caller.workspace_id)
        pid = await self._calls.run(lambda: pid_of(self._database, caller, braze_id))
        job = await self._jobs.latest(caller, ARCHIVE, braze_id)
        if job is not None and (job.state in (QUEUED, RUNNING) or _is_fresh(job, now_us)):
            return job
        try:
            return await self._jobs.start(caller, ARCHIVE, braze_id, {"pid": pid}, reached_at, pid)
        except JobUnderWayError:  # somebody else asked at the same moment
            job = await self._jobs.latest(caller, ARCHIVE, braze_id)
            if job is None:
                raise UnknownProfileError from None
            return job


def _is_fresh(job: Job, now_us: int) -> bool:
    there = job.state == DONE and job.expires_us is not None and job.expires_us > now_us
    return there and job.finished_us is not None and job.finished_us > now_us - FRESH_US


def pid_of(database: Database, caller: Caller, braze_id: str) -> int:
    """The number of the profile with a braze_id. Raises UnknownProfileError."""
    key = (BRAZE, "", braze_id)
    with database.read() as connection:
        pids = look_up.find(connection, caller.workspace_id, {key})[key]
    if not pids:
        raise UnknownProfileError(key)
    return next(iter(pids))
