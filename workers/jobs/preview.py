"""Previews of segments that take longer than an answer may wait: how many people are in one, and some of them."""

from sqlalchemy import Connection

from app.contract.errors import RefusedError
from app.domain.jobs import SEGMENT_TOO_BROAD, TARGET_GONE
from app.store import job_parts, jobs
from app.store.segments import run as segments
from app.store.segments.compile import TooBroadError
from workers.jobs.run import JobFailedError, LostError, Run
from workers.segments import definition_of


def make(run: Run) -> None:
    """Count the definition in the job's parameters, as of the moment when the attempt begins.

    The people of the sample are recorded as those of a file are: a deletion finds them, and no name is kept.
    """
    job, now_us = run.job, run.parts.now_us()
    sample = job.parameters["sample"]

    def counted(connection: Connection) -> tuple[int, list[int]]:
        definition = definition_of(connection, job.workspace_id, job.parameters["definition"])
        size = segments.count(connection, job.workspace_id, definition, now_us)
        if not sample or not size:
            return size, []
        members = segments.members(connection, job.workspace_id, definition, now_us, None, sample)
        return size, [member.pid for member in members]

    try:
        size, pids = run.read(counted)
    except RefusedError:  # a segment that it names is gone
        raise JobFailedError(TARGET_GONE) from None
    except TooBroadError:
        raise JobFailedError(SEGMENT_TOO_BROAD) from None
    run.parts.after_step(job, "counted")
    with run.parts.database.write() as connection:
        run.progressed(connection, size, size, 0)
        if pids:
            job_parts.add(connection, job.workspace_id, job.id, 1, pids)
        if not jobs.finish(connection, job, run.parts.now_us(), result={"size": size}):
            raise LostError
