"""Jobs in the database: queued by whoever asks, claimed for a time by whoever works, and written by its holder alone.

A holder has a name of its own (`owner`) and a lease that it keeps moving on. Every write of it asks for that name, so a
process that stood still for longer than its lease, or whose job was cancelled, changes nothing any more.
"""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from app.domain.jobs import CALLBACK_DUE, CANCELLED, DONE, FAILED, INTERRUPTED, SEGMENT_PREVIEW, TIME_LIMIT
from app.store.engine import Database

#: A holder that does not move its lease on for this long has died.
LEASE_US: Final = 30_000_000
#: How often a job is begun before it is given up.
MAX_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands. Times are microseconds."""

    workspace_id: int
    id: str
    kind: str
    target: str
    parameters: dict[str, Any]
    created_by: str
    state: str
    created_us: int
    started_us: int | None
    finished_us: int | None
    attempts: int
    owner: str
    progress: int
    total: int | None
    result: dict[str, Any]
    error: str
    bytes: int
    expires_us: int | None
    callback: str
    callback_attempts: int
    #: Nobody begins it before.
    due_us: int


class JobUnderWayError(Exception):
    """A job of this kind for this target is unfinished. `job` is that one, where it can still be seen."""


#: The filters of a preview, which may name people, are forgotten with its end.
_FORGOTTEN: Final = f"parameters = case when kind = '{SEGMENT_PREVIEW}' then '{{}}' else parameters end"
_COLUMNS: Final = (
    "workspace_id, id, kind, target, parameters, created_by, state, created_us, started_us, finished_us, attempts,"
    " owner, progress, total, result, error, bytes, expires_us, callback, callback_attempts, due_us"
)
_INSERT = text(
    """
    insert into job (workspace_id, id, kind, target, parameters, created_by, state, created_us, attempts, owner,
                     lease_us, progress, result, error, bytes, callback, callback_us, callback_attempts, due_us)
    values (:workspace_id, :id, :kind, :target, :parameters, :created_by, 'queued', :now_us, 0, '',
            0, 0, '{}', '', 0, '', 0, 0, :due_us)
    """
)
_RECEIVED = text(
    "update job set bytes = :bytes, due_us = :due_us"
    " where workspace_id = :workspace_id and id = :id and state = 'queued'"
)
_UNFINISHED = text("select count(*) from job where workspace_id = :workspace_id and state in ('queued', 'running')")
_USED = text("select coalesce(sum(bytes), 0) from job where workspace_id = :workspace_id and id <> :id and bytes > 0")
_GET = text(f"select {_COLUMNS} from job where workspace_id = :workspace_id and id = :id")
_FIND = text(f"select {_COLUMNS} from job where id = :id /*here workspace_id*/")
_OPEN = text(
    f"select {_COLUMNS} from job where workspace_id = :workspace_id and kind = :kind and target = :target"
    " and state in ('queued', 'running')"
)
_LATEST = text(
    f"select {_COLUMNS} from job where workspace_id = :workspace_id and kind = :kind and target = :target"
    " order by created_us desc limit 1"
)
_PAGE = text(
    f"""
    select {_COLUMNS} from job where workspace_id = :workspace_id
        and (created_us < :before_us or (created_us = :before_us and id < :before_id))
        and (cast(:state as text) is null or state = :state) and (cast(:kind as text) is null or kind = :kind)
    order by created_us desc, id desc limit :limit
    """
)
#: Whoever was served longest ago comes first, so that many jobs of one workspace hold up nobody else's. Of its own jobs
#: previews come first, for which somebody waits.
_NEXT = text(
    f"""
    select j.workspace_id, j.id from job j where j.state = 'queued' and j.due_us <= :now_us
        /*here j.workspace_id*/ order by
        (select coalesce(max(r.started_us), 0) from job r where r.workspace_id = j.workspace_id
            /*here r.workspace_id*/),
        case when j.kind = '{SEGMENT_PREVIEW}' then 0 else 1 end, j.created_us
    limit 1
    """
)
_CLAIM = text(
    """
    update job set state = 'running', owner = :owner, lease_us = :lease_us, started_us = :now_us,
                   attempts = attempts + 1, progress = 0
    where workspace_id = :workspace_id and id = :id and state = 'queued'
    """
)
_BEAT = text(
    "update job set lease_us = :lease_us"
    " where workspace_id = :workspace_id and id = :id and owner = :owner and state = 'running'"
)
_PROGRESS = text(
    "update job set lease_us = :lease_us, progress = :progress, total = :total, bytes = :bytes"
    " where workspace_id = :workspace_id and id = :id and owner = :owner and state = 'running'"
)
_FINISH = text(
    f"""
    update job set state = :state, finished_us = :now_us, owner = '', result = :result, error = :error,
                   bytes = :bytes, expires_us = :expires_us, callback = :callback, callback_us = :now_us, {_FORGOTTEN}
    where workspace_id = :workspace_id and id = :id and owner = :owner and state = 'running'
    """
)
_RELEASE = text(
    "update job set state = 'queued', owner = ''"
    " where workspace_id = :workspace_id and id = :id and owner = :owner and state = 'running'"
)
_PUT_BACK = text(
    "update job set state = 'queued', owner = '', attempts = attempts - 1"
    " where workspace_id = :workspace_id and id = :id and owner = :owner and state = 'running'"
)
_CANCEL = text(
    f"update job set state = 'cancelled', finished_us = :now_us, owner = '', {_FORGOTTEN}"
    " where workspace_id = :workspace_id and id = :id and state in ('queued', 'running')"
)
_WITHDRAW = text(
    "update job set expires_us = :now_us where workspace_id = :workspace_id and id = :id and expires_us > :now_us"
)
_GIVE_UP = text(
    f"""
    update job set state = 'failed', error = '{INTERRUPTED}', finished_us = :now_us, owner = '',
                   callback = case when parameters like '%"callback":"%' then '{CALLBACK_DUE}' else '' end,
                   callback_us = :now_us, {_FORGOTTEN}
    where state = 'running' and lease_us < :now_us and attempts >= :most /*here workspace_id*/
    """
)
_OUTWAIT = text(
    f"update job set state = 'failed', error = '{TIME_LIMIT}', finished_us = :now_us"
    " where state = 'queued' and kind = :kind and created_us < :before_us and due_us <= :now_us"
    " /*here workspace_id*/"
)
_REVIVE = text(
    "update job set state = 'queued', owner = '' where state = 'running' and lease_us < :now_us /*here workspace_id*/"
)
_STALE = text("select 1 from job where state = 'running' and lease_us < :now_us /*here workspace_id*/ limit 1")
_QUEUED = text("select 1 from job where state = 'queued' and due_us <= :now_us /*here workspace_id*/ limit 1")
_PREVIEWS = text(
    f"select 1 from job where state = 'queued' and kind = '{SEGMENT_PREVIEW}' /*here workspace_id*/ limit 1"
)
_POSTPONE = text(
    "update job set state = 'queued', owner = '', attempts = 0, due_us = :due_us, result = :result"
    " where workspace_id = :workspace_id and id = :id and owner = :owner and state = 'running'"
)
#: Ended without its work done, and what it marked is not taken back yet.
_MARKED = text(
    f"select {_COLUMNS} from job where kind = :kind and state in ('failed', 'cancelled') and exists"
    " (select 1 from job_part p where p.workspace_id = job.workspace_id and p.job_id = job.id"
    " /*here p.workspace_id*/) /*here job.workspace_id*/"
)
_OTHERS = text(
    f"select {_COLUMNS} from job where workspace_id = :workspace_id and kind = :kind and state in ('queued', 'running')"
)
_CALLBACKS = text(
    f"select {_COLUMNS} from job where callback = 'due' and callback_us <= :now_us /*here workspace_id*/"
    " order by callback_us limit 1"
)
_TAKE_CALLBACK = text(
    "update job set callback_us = :until_us, callback_attempts = callback_attempts + 1"
    " where workspace_id = :workspace_id and id = :id and callback = 'due' and callback_us <= :now_us"
)
_CALLBACK = text(
    "update job set callback = :callback, callback_us = :callback_us where workspace_id = :workspace_id and id = :id"
)
#: Of all workspaces, or nothing: whatever is not among these is removed.
_FILES = text("select id from job where state in ('queued', 'running') or (state = 'done' and expires_us > :now_us)")


def create(
    connection: Connection,
    workspace_id: int,
    id_: str,
    kind: str,
    target: str,
    parameters: dict[str, Any],
    created_by: str,
    now_us: int,
    due_us: int = 0,
) -> None:
    """Queue a job. Raises JobUnderWayError, and then the transaction is of no more use."""
    values = {"workspace_id": workspace_id, "id": id_, "kind": kind, "target": target, "created_by": created_by}
    if connection.execute(_OPEN, values).first() is not None:
        raise JobUnderWayError
    try:
        connection.execute(
            _INSERT,
            {
                **values,
                "parameters": msgspec.json.encode(parameters).decode(),
                "now_us": now_us,
                "due_us": due_us,
            },
        )
    except IntegrityError as error:  # somebody else queued one at the same moment
        raise JobUnderWayError from error


def received(connection: Connection, workspace_id: int, id_: str, bytes_: int, due_us: int) -> None:
    """What a queued job has of the file that it needs, and when it may be begun."""
    connection.execute(_RECEIVED, {"workspace_id": workspace_id, "id": id_, "bytes": bytes_, "due_us": due_us})


def unfinished(connection: Connection, workspace_id: int) -> int:
    """How many jobs of the workspace are queued or running."""
    return int(connection.execute(_UNFINISHED, {"workspace_id": workspace_id}).scalar_one())


def used_bytes(connection: Connection, workspace_id: int, but: str = "") -> int:
    """What the files of the workspace's jobs take up, without those of the job `but`."""
    return int(connection.execute(_USED, {"workspace_id": workspace_id, "id": but}).scalar_one())


def get(connection: Connection, workspace_id: int, id_: str) -> Job | None:
    """A job of the workspace."""
    row = connection.execute(_GET, {"workspace_id": workspace_id, "id": id_}).one_or_none()
    return None if row is None else _job(row)


def find(connection: Connection, id_: str) -> Job | None:
    """The job of an id, whatever workspace it belongs to."""
    row = connection.execute(_FIND, {"id": id_}).one_or_none()
    return None if row is None else _job(row)


def latest(connection: Connection, workspace_id: int, kind: str, target: str) -> Job | None:
    """The newest job of a kind for a target, in any state."""
    row = connection.execute(_LATEST, {"workspace_id": workspace_id, "kind": kind, "target": target}).one_or_none()
    return None if row is None else _job(row)


def under_way(connection: Connection, workspace_id: int, kind: str, target: str) -> Job | None:
    """The unfinished job of a kind for a target."""
    row = connection.execute(_OPEN, {"workspace_id": workspace_id, "kind": kind, "target": target}).one_or_none()
    return None if row is None else _job(row)


def page(
    connection: Connection,
    workspace_id: int,
    limit: int,
    before: tuple[int, str],
    state: str | None = None,
    kind: str | None = None,
) -> list[Job]:
    """Jobs of a workspace, newest first, behind the one of `before`: (created_us, id)."""
    values = {"workspace_id": workspace_id, "limit": limit, "before_us": before[0], "before_id": before[1]}
    return [_job(row) for row in connection.execute(_PAGE, {**values, "state": state, "kind": kind})]


def claim(database: Database, owner: str, now_us: int) -> Job | None:
    """Take the next queued job of any workspace, for LEASE_US. None when there is none."""
    while True:
        with database.read() as connection:
            found = connection.execute(_NEXT, {"now_us": now_us}).one_or_none()
        if found is None:
            return None
        values = {"workspace_id": found.workspace_id, "id": found.id, "owner": owner, "now_us": now_us}
        with database.write() as connection:
            if connection.execute(_CLAIM, {**values, "lease_us": now_us + LEASE_US}).rowcount:
                return get(connection, found.workspace_id, found.id)


def beat(connection: Connection, job: Job, now_us: int) -> bool:
    """Move the lease on. False when the job is not the holder's any more."""
    return bool(connection.execute(_BEAT, {**_held(job), "lease_us": now_us + LEASE_US}).rowcount)


def progress(connection: Connection, job: Job, done: int, total: int | None, bytes_: int, now_us: int) -> bool:
    """Record how far the holder is, and move the lease on. False when the job is not its any more."""
    values = {"progress": done, "total": total, "bytes": bytes_, "lease_us": now_us + LEASE_US}
    return bool(connection.execute(_PROGRESS, {**_held(job), **values}).rowcount)


def finish(
    connection: Connection,
    job: Job,
    now_us: int,
    *,
    error: str = "",
    result: dict[str, Any] | None = None,
    bytes_: int = 0,
    expires_us: int | None = None,
) -> bool:
    """End a job: done, or failed with `error`. False when the job is not the holder's any more."""
    values = {
        "state": FAILED if error else DONE,
        "error": error,
        "now_us": now_us,
        "result": msgspec.json.encode(result or {}).decode(),
        "bytes": bytes_,
        "expires_us": expires_us,
        "callback": CALLBACK_DUE if job.parameters.get("callback") else "",
    }
    return bool(connection.execute(_FINISH, {**_held(job), **values}).rowcount)


def postpone(connection: Connection, job: Job, due_us: int, result: dict[str, Any]) -> bool:
    """The first part of a job is done, and the rest is for later. False when the job is not the holder's any more."""
    values = {**_held(job), "due_us": due_us, "result": msgspec.json.encode(result).decode()}
    return bool(connection.execute(_POSTPONE, values).rowcount)


def ended_with_parts(connection: Connection, kind: str) -> list[Job]:
    """Jobs of a kind, of all workspaces, that failed or were cancelled, and whose parts are still recorded."""
    return [_job(row) for row in connection.execute(_MARKED, {"kind": kind})]


def unfinished_of(connection: Connection, workspace_id: int, kind: str) -> list[Job]:
    """Queued and running jobs of a kind."""
    return [_job(row) for row in connection.execute(_OTHERS, {"workspace_id": workspace_id, "kind": kind})]


def release(connection: Connection, job: Job) -> None:
    """Give a job back, to be begun again."""
    connection.execute(_RELEASE, _held(job))


def put_back(connection: Connection, job: Job) -> None:
    """As `release`, for a job that waits for something else: the attempt does not count, and other jobs go first."""
    connection.execute(_PUT_BACK, _held(job))


def cancel(connection: Connection, workspace_id: int, id_: str, now_us: int) -> bool:
    """End an unfinished job. Whoever works on it finds out at its next write. False when it was finished."""
    values = {"workspace_id": workspace_id, "id": id_, "now_us": now_us}
    return bool(connection.execute(_CANCEL, values).rowcount)


def withdraw(connection: Connection, workspace_id: int, id_: str, now_us: int) -> bool:
    """Serve the file of a job no longer. False when it has none."""
    values = {"workspace_id": workspace_id, "id": id_, "now_us": now_us}
    return bool(connection.execute(_WITHDRAW, values).rowcount)


def revive(connection: Connection, now_us: int) -> tuple[int, int]:
    """Queue jobs whose holder died once more, and give up those that were begun too often: how many of each."""
    given_up = connection.execute(_GIVE_UP, {"now_us": now_us, "most": MAX_ATTEMPTS}).rowcount
    return connection.execute(_REVIVE, {"now_us": now_us}).rowcount, given_up


def outwait(connection: Connection, kind: str, before_us: int, now_us: int) -> int:
    """Give up the jobs of a kind that nobody took since `before_us`; how many."""
    return connection.execute(_OUTWAIT, {"kind": kind, "before_us": before_us, "now_us": now_us}).rowcount


def has_stale(connection: Connection, now_us: int) -> bool:
    """Whether the holder of some job died."""
    return connection.execute(_STALE, {"now_us": now_us}).first() is not None


def are_waiting(connection: Connection, now_us: int) -> bool:
    """Whether there is anything to do: a queued job, or a callback that is due."""
    if connection.execute(_QUEUED, {"now_us": now_us}).first() is not None:
        return True
    return connection.execute(_CALLBACKS, {"now_us": now_us}).first() is not None


def are_previews_waiting(connection: Connection) -> bool:
    """Whether a preview of a segment is queued, of any workspace."""
    return connection.execute(_PREVIEWS).first() is not None


def take_callback(database: Database, now_us: int, retry_us: int) -> Job | None:
    """A finished job whose callback is due; it is due again `retry_us` later unless `call_back` says otherwise."""
    with database.write() as connection:
        row = connection.execute(_CALLBACKS, {"now_us": now_us}).one_or_none()
        if row is None:
            return None
        values = {"workspace_id": row.workspace_id, "id": row.id, "now_us": now_us, "until_us": now_us + retry_us}
        return _job(row) if connection.execute(_TAKE_CALLBACK, values).rowcount else None


def called_back(connection: Connection, job: Job, callback: str, next_us: int) -> None:
    """Record what came of a callback, and when it is tried again if it still is due."""
    values = {"workspace_id": job.workspace_id, "id": job.id, "callback": callback, "callback_us": next_us}
    connection.execute(_CALLBACK, values)


def with_files(connection: Connection, now_us: int) -> frozenset[str]:
    """Ids of all jobs that may have files."""
    return frozenset(connection.execute(_FILES, {"now_us": now_us}).scalars())


def is_finished(job: Job) -> bool:
    return job.state in (DONE, FAILED, CANCELLED)


def _held(job: Job) -> dict[str, Any]:
    return {"workspace_id": job.workspace_id, "id": job.id, "owner": job.owner}


def _job(row: Any) -> Job:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["parameters"] = msgspec.json.decode(values["parameters"])
    values["result"] = msgspec.json.decode(values["result"])
    return Job(**values)
