"""Deleting everybody in a segment, some days after it was asked for (spec lifecycle.md 5).

First the members are marked: marked profiles are not merged. The job then waits. When its time has come, those are
deleted who are still marked and still in the segment; the others lose their marks. All of it goes through the bulk
stream, in its order, so that a redo makes the same. Who is marked is not looked at here: marks may still be queued, and
the reducer knows.

A job that was killed sends its last part, or all of them, again: whoever is marked is marked once, and whoever is
deleted is deleted once, since a profile that comes later has another braze_id.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from app.contract.errors import RefusedError
from app.domain.commands import ChangeFlags, DeleteMarked
from app.domain.jobs import DELETE_SEGMENT, SEGMENT_TOO_BROAD, TARGET_GONE
from app.domain.profile import BRAZE, MARKED_FOR_DELETION, Profile
from app.domain.segments.model import Definition
from app.store import job_parts, jobs
from app.store.inbox import log as inbox
from app.store.job_parts import Part
from app.store.jobs import Job
from app.store.profiles import look_up
from app.store.segments import run as segments
from app.store.segments import saved
from app.store.segments.compile import TooBroadError
from workers.jobs import bulk
from workers.jobs.run import JobFailedError, LostError, Run
from workers.segments import definition_of

#: People of one part and of one request, so that a batch of others is never far behind it.
PART_PEOPLE: Final = 500
#: `phase` in the result of a job that has marked the members, and waits.
WAITING: Final = {"phase": "waiting"}


def delete(run: Run) -> None:
    """Mark the members of a segment, and some days later delete them."""
    try:
        if run.job.result.get("phase") == WAITING["phase"]:
            _delete_marked(run)
        else:
            _mark(run)
    except (RefusedError, inbox.UnknownWorkspaceError):  # a segment that it names is gone; or everything is
        raise JobFailedError(TARGET_GONE) from None
    except TooBroadError:
        raise JobFailedError(SEGMENT_TOO_BROAD) from None


def unmark(run: Run) -> None:
    """Take the marks of a deletion back that was cancelled, or failed; not those that another deletion needs."""
    job = replace(run.job, id=run.job.target)
    with run.parts.database.read() as connection:
        parts = job_parts.of(connection, job)
        needed = _needed_by_others(connection, job)
    done = 0
    for part in parts:
        bulk.send(run, _marks([one for one in _people(run, part) if one.pid not in needed], on=False))
        done += len(part.pids)
        bulk.progress(run, done, None)
    with run.parts.database.write() as connection:
        job_parts.forget(connection, job)
        if not jobs.finish(connection, run.job, run.parts.now_us()):
            raise LostError


def _mark(run: Run) -> None:
    job, parts, now_us = run.job, run.parts, run.parts.now_us()
    with parts.database.read() as connection:
        definition = _definition(run)
        total = segments.count(connection, job.workspace_id, definition, now_us, hurried=False)
        known = job_parts.of(connection, job)
    done = sum(len(part.pids) for part in known)
    last = max((max(part.pids, default=0) for part in known), default=0)
    if known:  # it may not have been sent before the process died
        bulk.send(run, _marks(_people(run, known[-1]), on=True))
    n = len(known)
    while True:
        with parts.database.read() as connection:
            behind = last or None
            page = segments.members(
                connection, job.workspace_id, definition, now_us, behind, PART_PEOPLE, hurried=False
            )
        if not page:
            break
        part = Part(n + 1, [member.pid for member in page])
        with parts.database.write() as connection:
            run.progressed(connection, done, total, 0)
            job_parts.add(connection, job.workspace_id, job.id, part.n, part.pids)
        parts.after_step(job, "part_recorded")
        bulk.send(run, _marks(_people(run, part), on=True))
        parts.after_step(job, "part_sent")
        n, last, done = part.n, part.pids[-1], done + len(part.pids)
    due_us = parts.now_us() + int(parts.limits.deletion_seconds * 1_000_000)
    with parts.database.write() as connection:
        run.progressed(connection, done, done, 0)
        if not jobs.postpone(connection, job, due_us, WAITING):
            raise LostError


def _delete_marked(run: Run) -> None:
    job, parts, now_us = run.job, run.parts, run.parts.now_us()
    definition = _definition(run)
    with parts.database.read() as connection:
        known = job_parts.of(connection, job)
        needed = _needed_by_others(connection, job)
    last, done, total = 0, 0, sum(len(part.pids) for part in known)
    for part in known:
        people = _people(run, part)
        with parts.database.read() as connection:
            pids = [one.pid for one in people]
            inside = segments.matches(connection, job.workspace_id, pids, definition, now_us)
        deletions = [DeleteMarked(n, one.braze_id) for n, one in enumerate(people) if one.pid in inside]
        last = bulk.send(run, deletions) or last
        left = [one for one in people if one.pid not in inside and one.pid not in needed]
        last = bulk.send(run, _marks(left, on=False)) or last
        parts.after_step(job, "part_sent")
        done += len(part.pids)
        bulk.progress(run, done, total)
    bulk.wait(run, last)
    with parts.database.write() as connection:
        gone = sum(1 for part in job_parts.of(connection, job) for pid in part.pids if not pid)
        job_parts.forget(connection, job)
        if not jobs.finish(connection, job, parts.now_us(), result={"users": gone}):
            raise LostError


def _needed_by_others(connection: Connection, job: Job) -> set[int]:
    """Whom another deletion has marked, too."""
    others = [one for one in jobs.unfinished_of(connection, job.workspace_id, DELETE_SEGMENT) if one.id != job.id]
    return {pid for other in others for part in job_parts.of(connection, other) for pid in part.pids}


def _definition(run: Run) -> Definition:
    with run.parts.database.read() as connection:
        kept = saved.fetch(connection, run.job.workspace_id, run.job.target)
        if kept is None:
            raise JobFailedError(TARGET_GONE)
        return definition_of(connection, run.job.workspace_id, kept.definition)


def _people(run: Run, part: Part) -> list[Profile]:
    """The rows of those of a part who are still there."""
    with run.parts.database.read() as connection:
        return look_up.fetch(connection, run.job.workspace_id, {pid: 0 for pid in part.pids if pid})


def _marks(people: Sequence[Profile], *, on: bool) -> list[ChangeFlags]:
    bits = (MARKED_FOR_DELETION, 0) if on else (0, MARKED_FOR_DELETION)
    return [ChangeFlags(n, (BRAZE, "", one.braze_id), *bits) for n, one in enumerate(people)]
