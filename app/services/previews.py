"""Previews of segments: how many people a definition has, and some of them, now or by a job."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from app.contract import segment_requests as requests
from app.domain.jobs import DONE, QUEUED, RUNNING, SEGMENT_PREVIEW
from app.domain.profile import Profile
from app.services import budget, segments
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.jobs import Job, Jobs
from app.services.permissions import allows
from app.services.reading import Reader
from app.services.refusals import JobUnderWayError, SegmentTooSlowError
from app.services.segments import Segments
from app.store import job_parts, jobs
from app.store.engine import Database
from app.store.profiles import look_up
from app.store.segments import run, upkeep

#: So long what a job counted is given to whoever asks for the same.
FRESH_US: Final = 10 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Preview:
    """How many people are in a segment, and some of them."""

    size: int
    sample: list[Profile]
    #: Some of what was accepted before is not in it yet.
    stale: bool = False
    #: The job that counted.
    job: Job | None = None


class Previews:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        calls: StoreCalls,
        segments: Segments,
        jobs: Jobs,
        now_us: Callable[[], int],
        answer_seconds: float,
    ) -> None:
        """`answer_seconds`: what starting a job may take, behind the time that counting took."""
        self._database = database
        self._reader = reader
        self._calls = calls
        self._segments = segments
        self._jobs = jobs
        self._now_us = now_us
        self._answer_seconds = answer_seconds

    async def of(self, caller: Caller, document: dict[str, Any]) -> Preview | Job:
        """Count a definition that need not be kept; what takes too long is left to a job.

        A job that counts the same is given back while it is under way, and what it counted for a while after that.
        Raises RefusedError, SegmentTooBroadError, UnavailableError, and as Jobs.start.
        """
        sample = requests.read_sample(document)
        wanted = requests.definition_of(document)
        target, job = await self._calls.run(lambda: counting(self._database, caller, wanted, sample))
        if job is not None and job.state in (QUEUED, RUNNING):
            return job
        if job is not None and _is_fresh(job, self._now_us()):
            return Preview(job.result["size"], await self.sample(caller, job), job=job)
        stale = await self._reader.catch_up(caller.workspace_id)
        try:
            size, people = await self._segments.counted(
                lambda: preview(self._database, caller, wanted, self._now_us(), sample, self._segments.seconds)
            )
        except SegmentTooSlowError:
            budget.extend(self._answer_seconds)
        else:
            return Preview(size, people, stale)
        try:
            return await self._jobs.start(caller, SEGMENT_PREVIEW, target, {"definition": wanted, "sample": sample})
        except JobUnderWayError:  # somebody else asked for the same
            job = await self._jobs.latest(caller, SEGMENT_PREVIEW, target)
            if job is None:
                raise SegmentTooSlowError from None
            return job

    async def sample(self, caller: Caller, job: Job) -> list[Profile]:
        """The people of a job's sample as they are now, without those who are gone. Raises UnavailableError."""
        return await self._calls.run(lambda: sample_of(self._database, caller, job))


def counting(database: Database, caller: Caller, document: dict[str, Any], sample: int) -> tuple[str, Job | None]:
    """What a job that counts a definition is about, and the newest such job, in any state.

    Raises RefusedError for a wrong definition.
    """
    with database.read() as connection:
        segments.definition(connection, caller.workspace_id, document)
        target = _target(document, sample)
        return target, jobs.latest(connection, caller.workspace_id, SEGMENT_PREVIEW, target)


def preview(
    database: Database, caller: Caller, document: dict[str, Any], now_us: int, sample: int, seconds: float
) -> tuple[int, list[Profile]]:
    """(how many, some of them); a statement takes at most `seconds`. Raises RefusedError, TooBroadError."""
    upkeep.touch(database, caller.workspace_id, now_us)
    with database.read(seconds=seconds) as connection:
        wanted = segments.definition(connection, caller.workspace_id, document)
        size = run.count(connection, caller.workspace_id, wanted, now_us)
        if not sample or not size:
            return size, []
        members = run.members(connection, caller.workspace_id, wanted, now_us, None, sample)
        return size, _people(connection, caller, [member.pid for member in members])


def sample_of(database: Database, caller: Caller, job: Job) -> list[Profile]:
    """As Previews.sample. Nobody where the job is no preview, or the key may not ask for one."""
    if job.kind != SEGMENT_PREVIEW or not allows(caller.permissions, segments.PERMISSION):
        return []
    with database.read() as connection:
        pids = (pid for part in job_parts.of(connection, job) for pid in part.pids)
        return _people(connection, caller, pids)


def _people(connection: Connection, caller: Caller, pids: Iterable[int]) -> list[Profile]:
    people = look_up.fetch(connection, caller.workspace_id, dict.fromkeys(pids, 0))
    return sorted(people, key=lambda person: person.pid)


def _target(definition: dict[str, Any], sample: int) -> str:
    """What a job is about: the same for the same question."""
    return sha256(msgspec.json.encode([definition, sample], order="deterministic")).hexdigest()


def _is_fresh(job: Job, now_us: int) -> bool:
    return job.state == DONE and job.finished_us is not None and job.finished_us > now_us - FRESH_US
