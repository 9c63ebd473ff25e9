"""Jobs as the API and the operator see them: started, listed, cancelled, and the files that come of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import structlog
from sqlalchemy import Connection

from app.adapters import http_out
from app.adapters.files import GZIP, ZIP, Files
from app.contract import file_url
from app.contract.errors import RefusedError
from app.contract.file_exports import BAD_CALLBACK, GZIP_FORMAT
from app.contract.jobs import Page
from app.domain.jobs import (
    ARCHIVE,
    DELETE_SEGMENT,
    DONE,
    EXPORT_CONTROL_GROUP,
    EXPORT_SEGMENT,
    IMPORT,
    RUNNING,
    SEGMENT_PREVIEW,
    UNMARK_SEGMENT,
)
from app.domain.times import SECOND
from app.services.caller import Caller
from app.services.calls import StoreCalls
from app.services.permissions import allows
from app.services.refusals import (
    JobUnderWayError,
    StorageFullError,
    TooManyJobsError,
    UnavailableError,
    UnknownFileError,
    UnknownJobError,
)
from app.store import job_parts, keys
from app.store import jobs as store
from app.store.engine import Database
from app.store.jobs import Job
from app.store.workspaces import UnknownNameError

__all__ = ["Job", "JobFile", "Jobs", "Listed"]

log = structlog.get_logger()

#: What a key needs to be shown where the file of a job is: what it takes to have it made.
PERMISSION_OF: Final[Mapping[str, str]] = {
    EXPORT_SEGMENT: "users.export.segment",
    EXPORT_CONTROL_GROUP: "users.export.global_control_group",
    ARCHIVE: "admin.profiles",
    IMPORT: "admin.imports",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a workspace may have."""

    #: Queued and running jobs.
    jobs: int
    #: Of all its files.
    bytes: int
    #: Whether callbacks may go to private addresses.
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of jobs."""

    jobs: list[Job]
    more: bool


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file to be served."""

    workspace_id: int
    path: Path
    name: str
    form: str


class Jobs:
    """One per API process."""

    def __init__(
        self,
        database: Database,
        calls: StoreCalls,
        files: Files,
        bounds: Bounds,
        now_us: Callable[[], int],
        ring: Callable[[], None],
        public_url: str = "",
    ) -> None:
        """`ring` tells the workers that a job is queued. `public_url` is where clients reach the API; "" = where the
        request came to."""
        self._database = database
        self._calls = calls
        self._files = files
        self._bounds = bounds
        self._now_us = now_us
        self._ring = ring
        self._public_url = public_url

    async def start(
        self,
        caller: Caller,
        kind: str,
        target: str,
        parameters: dict[str, Any],
        reached_at: str = "",
        pid: int | None = None,
    ) -> Job:
        """Queue a job. `reached_at`: where the request came to. `pid`: the profile that it is about.

        Raises RefusedError for a callback that cannot be called, JobUnderWayError, TooManyJobsError, StorageFullError,
        UnavailableError.
        """
        kept = {**parameters, "base": self._public_url or reached_at}
        job = await self._calls.run(lambda: self._start(caller, kind, target, kept, pid))
        self._ring()
        return job

    async def listed(self, caller: Caller, page: Page) -> Listed:
        """Jobs of the workspace, newest first. Raises UnavailableError."""
        return await self._calls.run(lambda: listed(self._database, caller, page))

    async def get(self, caller: Caller, id_: str) -> Job:
        """A job of the workspace. Raises UnknownJobError, UnavailableError."""
        return await self._calls.run(lambda: get(self._database, caller, id_))

    async def latest(self, caller: Caller, kind: str, target: str) -> Job | None:
        """The newest job of a kind for a target. Raises UnavailableError."""

        def read() -> Job | None:
            with self._database.read() as connection:
                return store.latest(connection, caller.workspace_id, kind, target)

        return await self._calls.run(read)

    async def cancel(self, caller: Caller, id_: str) -> Job:
        """End an unfinished job; serve the file of a finished one no longer.

        Raises UnknownJobError, UnavailableError.
        """
        return await self._calls.run(lambda: cancel(self._database, caller, id_, self._now_us()))

    async def cancel_under_way(self, caller: Caller, kind: str, target: str) -> bool:
        """End the unfinished job of a kind for a target. False when there is none. Raises UnavailableError."""

        def work() -> bool:
            with self._database.read() as connection:
                job = store.under_way(connection, caller.workspace_id, kind, target)
            if job is None:
                return False
            with self._database.write() as connection:
                return store.cancel(connection, caller.workspace_id, job.id, self._now_us())

        return await self._calls.run(work)

    async def file(self, id_: str, token: str, name: str) -> JobFile:
        """The file of a job, for whoever has its address. Raises UnknownFileError, UnavailableError."""
        return await self._calls.run(lambda: self._file(id_, token, name))

    def _start(self, caller: Caller, kind: str, target: str, parameters: dict[str, Any], pid: int | None) -> Job:
        callback = parameters.get("callback")
        if callback and http_out.problem_of(callback, allow_private=self._bounds.allow_private) is not None:
            raise RefusedError(400, BAD_CALLBACK)
        id_, workspace_id = str(uuid4()), caller.workspace_id
        with self._database.read() as connection:
            if store.under_way(connection, workspace_id, kind, target) is not None:
                raise JobUnderWayError(kind)
            if store.unfinished(connection, workspace_id) >= self._bounds.jobs:
                raise TooManyJobsError
            has_file = kind not in (SEGMENT_PREVIEW, DELETE_SEGMENT)
            if has_file and store.used_bytes(connection, workspace_id) >= self._bounds.bytes:
                raise StorageFullError
        try:
            with self._database.write() as connection:
                store.create(connection, workspace_id, id_, kind, target, parameters, caller.key_name, self._now_us())
                if pid is not None:
                    job_parts.add(connection, workspace_id, id_, 1, [pid])
        except store.JobUnderWayError:
            raise JobUnderWayError(kind) from None
        return get(self._database, caller, id_)

    def _file(self, id_: str, token: str, name: str) -> JobFile:
        with self._database.read() as connection:
            job = store.find(connection, id_)
        if job is None and self._database.nodes_away:  # it may be there
            raise UnavailableError
        try:
            record = None if job is None else keys.of_workspace(self._database, job.workspace_id)
        except UnknownNameError:
            record = None
        if job is None or record is None:
            raise UnknownFileError
        form = form_of(job)
        if not file_url.is_token(record.workspace_secret, job.workspace_id, id_, token):
            raise UnknownFileError
        ready = job.state == DONE and job.expires_us is not None and job.expires_us > self._now_us()
        is_closed = record.disabled or record.deleted
        if not ready or is_closed or name != f"{file_url.object_prefix(id_, job.created_us)}.{form}":
            raise UnknownFileError(guessed=False)
        path = self._files.path(job.workspace_id, id_, form)
        if not path.exists():
            log.error("file_missing", job=id_)  # this process does not share the directory of the job workers
            raise UnavailableError
        return JobFile(job.workspace_id, path, name, form)


def listed(database: Database, caller: Caller, page: Page) -> Listed:
    """As Jobs.listed."""
    with database.read() as connection:
        jobs = store.page(connection, caller.workspace_id, page.limit + 1, page.before, page.state, page.kind)
    return Listed(jobs[: page.limit], len(jobs) > page.limit)


def get(database: Database, caller: Caller, id_: str) -> Job:
    """As Jobs.get."""
    with database.read() as connection:
        job = store.get(connection, caller.workspace_id, id_)
    if job is None:
        raise UnknownJobError
    return job


def cancel(database: Database, caller: Caller, id_: str, now_us: int) -> Job:
    """As Jobs.cancel."""
    job = get(database, caller, id_)
    with database.write() as connection:
        if store.cancel(connection, caller.workspace_id, job.id, now_us):
            if job.kind == DELETE_SEGMENT:
                _unmark(connection, job, now_us)
        else:
            store.withdraw(connection, caller.workspace_id, job.id, now_us)
    return get(database, caller, id_)


#: A worker that still marks people hears of the end of its job within this time.
_HEARD_US: Final = 10 * SECOND


def _unmark(connection: Connection, job: Job, now_us: int) -> None:
    """Queue what takes the marks of a cancelled deletion back."""
    store.create(
        connection,
        job.workspace_id,
        str(uuid4()),
        UNMARK_SEGMENT,
        job.id,
        {},
        job.created_by,
        now_us,
        now_us + _HEARD_US if job.state == RUNNING else 0,
    )


def form_of(job: Job) -> str:
    """The ending of the job's file."""
    return GZIP if job.parameters.get("format") == GZIP_FORMAT else ZIP


def url_of(caller: Caller, job: Job) -> str:
    """Where the file of a job is served, or will be."""
    base = str(job.parameters.get("base", ""))
    return file_url.url(base, caller.workspace_secret, job.workspace_id, job.id, job.created_us, form_of(job))


def shown_url(caller: Caller, job: Job, now_us: int) -> str | None:
    """The same for a list of jobs: None where there is no file, and for keys that may not have such files made."""
    if job.state != DONE or job.expires_us is None or job.expires_us <= now_us:
        return None
    return url_of(caller, job) if allows(caller.permissions, PERMISSION_OF[job.kind]) else None
