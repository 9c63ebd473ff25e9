"""Which profiles are in the files of jobs, how a deletion reaches them, and how jobs age out.

A job records the profiles of a part before it reads them. Recording and deleting take one lock: either the deletion
sees the part, or the job reads after the deletion.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, text

from app.domain.jobs import ARCHIVE, MERGE_RUN
from app.store.jobs import Job

#: Finished jobs are kept this long, and so many of a workspace.
KEPT_US: Final = 7 * 86_400 * 1_000_000
KEPT: Final = 1_000

_INSERT = text(
    "insert into job_part (workspace_id, job_id, n, first_pid, last_pid, pids)"
    " values (:workspace_id, :job_id, :n, :first_pid, :last_pid, :pids)"
)
_PARTS = text("select n, pids from job_part where workspace_id = :workspace_id and job_id = :job_id order by n")
_FORGET = text("delete from job_part where workspace_id = :workspace_id and job_id = :job_id")
#: The first number says what the lock is about, the second whose.
_LOCK = text("select pg_advisory_xact_lock(727004, :workspace_id)")
_OVERLAPPING = text(
    """
    select p.job_id, p.n, p.pids, j.kind, j.state from job_part p
    join job j on j.workspace_id = :workspace_id and j.id = p.job_id
    where p.workspace_id = :workspace_id and p.last_pid >= :least and p.first_pid <= :most
    """
)
_UPDATE = text("update job_part set pids = :pids where workspace_id = :workspace_id and job_id = :job_id and n = :n")
_EXPIRE_FILE = text(
    "update job set expires_us = 0 where workspace_id = :workspace_id and id = :job_id and expires_us is not null"
)
_UNNAME = text("update job set target = id, parameters = '{}' where workspace_id = :workspace_id and id = :job_id")
_OVER = text(
    "select workspace_id, id from job where (expires_us <= :now_us"
    " or (state in ('failed', 'cancelled') and (bytes > 0 or expires_us is not null))) /*here workspace_id*/"
)
_EMPTY = text(
    "update job set bytes = 0, expires_us = null"
    " where workspace_id = :workspace_id and id = :job_id and state not in ('queued', 'running')"
)
_OLD = text(
    "delete from job where state not in ('queued', 'running') and finished_us < :before_us and expires_us is null"
    f" and callback <> 'due' and kind <> '{MERGE_RUN}' /*here workspace_id*/"  # it goes with its run
)
_CROWDED = text(
    "select workspace_id from job where true /*here workspace_id*/ group by workspace_id having count(*) > :most"
)
_SURPLUS = text(
    f"""
    delete from job where workspace_id = :workspace_id and kind <> '{MERGE_RUN}'
        and state not in ('queued', 'running') and expires_us is null
        and created_us <= (select created_us from job where workspace_id = :workspace_id
                           order by created_us desc limit 1 offset :most)
    """
)
_ORPHANS = text(
    "delete from job_part where not exists (select 1 from job j where j.workspace_id = job_part.workspace_id"
    " and j.id = job_part.job_id /*here j.workspace_id*/) /*here job_part.workspace_id*/"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a job's file: profiles by number in the order of their lines, 0 where one was deleted since."""

    n: int
    pids: Sequence[int]


def lock(connection: Connection, workspace_id: int) -> None:
    """Wait until nobody else records, finishes or deletes in the workspace, and keep them waiting until the commit.

    SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK, {"workspace_id": workspace_id})


def add(connection: Connection, workspace_id: int, job_id: str, n: int, pids: Sequence[int]) -> None:
    """Record who is in a part, before they are read; `pids` ascend."""
    lock(connection, workspace_id)
    connection.execute(
        _INSERT,
        {
            "workspace_id": workspace_id,
            "job_id": job_id,
            "n": n,
            "first_pid": pids[0],
            "last_pid": pids[-1],
            "pids": array("q", pids).tobytes(),
        },
    )


def of(connection: Connection, job: Job) -> list[Part]:
    """The parts of a job as they stand, in their order."""
    rows = connection.execute(_PARTS, {"workspace_id": job.workspace_id, "job_id": job.id})
    return [Part(row.n, _numbers(row.pids)) for row in rows]


def erase(connection: Connection, workspace_id: int, pids: Sequence[int]) -> int:
    """Deleted profiles leave the files: a finished one is served no longer, an unfinished one will not have them.

    Part of the transaction that deletes. Returns how many jobs are concerned.
    """
    if not pids:
        return 0
    values = {"workspace_id": workspace_id}
    lock(connection, workspace_id)
    gone, jobs = frozenset(pids), set()
    rows = connection.execute(_OVERLAPPING, {**values, "least": min(gone), "most": max(gone)}).all()
    for row in rows:
        numbers = _numbers(row.pids)
        if gone.isdisjoint(numbers):
            continue
        jobs.add(row.job_id)
        left = array("q", (0 if pid in gone else pid for pid in numbers))
        one = {**values, "job_id": row.job_id}
        connection.execute(_UPDATE, {**one, "n": row.n, "pids": left.tobytes()})
        connection.execute(_EXPIRE_FILE, one)
        if row.kind == ARCHIVE:  # its row names the person
            connection.execute(_UNNAME, one)
    return len(jobs)


def forget(connection: Connection, job: Job) -> None:
    """A job begins anew: nobody is in its parts."""
    connection.execute(_FORGET, {"workspace_id": job.workspace_id, "job_id": job.id})


def expire(connection: Connection, now_us: int) -> int:
    """Forget what files that are over held, and remove old jobs. Returns how many jobs were removed.

    The files themselves go with app.adapters.files.
    """
    for row in connection.execute(_OVER, {"now_us": now_us}).all():
        values = {"workspace_id": row.workspace_id, "job_id": row.id}
        connection.execute(_FORGET, values)
        connection.execute(_EMPTY, values)
    removed = connection.execute(_OLD, {"before_us": now_us - KEPT_US}).rowcount
    for workspace_id in connection.execute(_CROWDED, {"most": KEPT}).scalars().all():
        removed += connection.execute(_SURPLUS, {"workspace_id": workspace_id, "most": KEPT}).rowcount
    connection.execute(_ORPHANS)
    return removed


def _numbers(stored: bytes) -> "array[int]":
    numbers = array("q")
    numbers.frombytes(bytes(stored))
    return numbers
