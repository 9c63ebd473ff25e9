"""Working on jobs: claimed for a time, kept alive while they are worked on, ended once, and called back.

The life of a job: it is queued by the API. A worker claims it, and a thread moves the lease on. The work records how
far it is. Where the process dies, the lease ends, the sweeper queues the job again, and the work goes on behind the
last part that it finished. After a few attempts the job has failed. What is over is told to the callback, if there is
one, several times if need be.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, Final, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection

from app.adapters.files import GZIP, ZIP, Files
from app.adapters.http_out import CallError, HttpOut
from app.contract import file_url
from app.contract.file_exports import GZIP_FORMAT
from app.domain.commands import StreamKey
from app.domain.jobs import (
    CALLBACK_DELIVERED,
    CALLBACK_DUE,
    CALLBACK_FAILED,
    DISK_FAILED,
    DONE,
    INTERNAL_ERROR,
    INTERRUPTED,
    TIME_LIMIT,
)
from app.store import jobs
from app.store.engine import DATABASE_ERRORS, Database, is_transient
from app.store.interruption import Interruption
from app.store.jobs import LEASE_US, MAX_ATTEMPTS, Job

log = structlog.get_logger()

_T = TypeVar("_T")

#: How soon a statement ends whose attempt is over.
WATCH_SECONDS: Final = 1.0
#: When a callback without success is tried again, in seconds after each try; after the last one it has failed.
CALLBACK_PAUSES: Final = (10, 60, 300, 900)


class LostError(Exception):
    """The job is not ours any more: it was cancelled, or somebody else has it since our lease ended."""


class WaitingError(Exception):
    """What the job waits for takes long, or it takes long itself: other jobs go first, and then it goes on."""


class JobFailedError(Exception):
    """The job cannot succeed. `reason` is one of app.domain.jobs.ERRORS."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Limits:
    """What jobs may take."""

    #: Of one attempt.
    seconds: float
    file_bytes: int
    workspace_bytes: int
    #: How long a file is served.
    file_seconds: float
    #: How long a segment is marked before its people are deleted.
    deletion_seconds: float = 7 * 86_400.0
    #: A workspace with fewer profiles is not archived.
    archival_profiles: int = 250_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What the work of a job is done with."""

    database: Database
    files: Files
    limits: Limits
    now_us: Callable[[], int]
    #: The id key of a workspace.
    secret: Callable[[int], bytes]
    #: Tells the workers that a stream has work, as Doorbell.ring.
    ring: Callable[[StreamKey], None] = lambda _stream: None
    #: For tests: called behind each step of which the outcome is recorded.
    after_step: Callable[[Job, str], None] = lambda _job, _step: None


@dataclass(slots=True)
class Summary:
    """What one task did."""

    job: str = ""
    kind: str = ""
    state: str = ""
    error: str = ""
    progress: int = 0
    ms: int = 0
    callbacks: int = 0
    more: bool = False

    def told(self) -> str:
        """What was done, in words: what Flower shows of a task."""
        parts = [f"{self.kind} {self.state}: {self.progress} done"] if self.job else ["no job"]
        parts += [self.error] if self.error else []
        parts += [f"{self.callbacks} callbacks"] if self.callbacks else []
        return f"{', '.join(parts)} in {self.ms} ms"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(slots=True)
class Run:
    """One attempt at a job, by its holder."""

    job: Job
    parts: Parts
    lost: threading.Event = field(default_factory=threading.Event)
    ends: float = 0.0
    done: int = 0

    def check(self) -> None:
        """To be called now and then. Raises LostError, JobFailedError when the time is over."""
        if self.lost.is_set():
            raise LostError
        if time.monotonic() > self.ends:
            raise JobFailedError(TIME_LIMIT)

    def read(self, work: Callable[[Connection], _T]) -> _T:
        """What is read in one transaction, of which each statement may take as long as the attempt.

        It ends with the attempt. Raises LostError, JobFailedError when the time is over, what the database raises.
        """
        call, done = Interruption(), threading.Event()

        def watch() -> None:
            while not done.wait(WATCH_SECONDS):
                if self.lost.is_set() or time.monotonic() > self.ends:
                    call.interrupt()
                    return

        def within() -> _T:
            seconds = max(WATCH_SECONDS, self.ends - time.monotonic() + WATCH_SECONDS)
            with self.parts.database.read(seconds=seconds) as connection:
                return work(connection)

        watcher = threading.Thread(target=watch, name="watch", daemon=True)
        watcher.start()
        try:
            return call.run(within)
        except DATABASE_ERRORS:
            self.check()
            raise
        finally:
            done.set()
            watcher.join()

    def let_previews_pass(self) -> None:
        """To be called where the work can go on later. Raises WaitingError while somebody waits for a preview."""
        with self.parts.database.read() as connection:
            if jobs.are_previews_waiting(connection):
                raise WaitingError

    def progressed(self, connection: Any, done: int, total: int | None, bytes_: int) -> None:
        """Record how far it is, as part of a transaction. Raises LostError."""
        self.check()
        if not jobs.progress(connection, self.job, done, total, bytes_, self.parts.now_us()):
            raise LostError
        self.done = done


Work = Callable[[Run], None]
"""Does a job and ends it with `jobs.finish`. Raises LostError, WaitingError, JobFailedError, what the database and
the disk raise."""


class Runner:
    """Works on jobs, one at a time; one per worker process."""

    def __init__(self, parts: Parts, works: Mapping[str, Work], out: HttpOut) -> None:
        self._parts = parts
        self._works = works
        self._out = out

    def run_next(self, begun: Callable[[Job], None] = lambda _job: None) -> Summary:
        """Make a callback that is due, work on the next job, if there is one, and make another callback.

        `begun` is told of the job before it is worked on.

        One at a time: an address that does not answer takes a time-out, and the jobs of everybody else wait for it.
        Raises what the database raises.
        """
        summary, began = Summary(), time.monotonic()
        summary.callbacks = self._call_back()
        job = jobs.claim(self._parts.database, secrets.token_hex(8), self._parts.now_us())
        if job is not None:
            summary.job, summary.kind = job.id, job.kind
            begun(job)
            self._work_on(job, summary)
            summary.callbacks += self._call_back()
        if job is not None or summary.callbacks:
            with self._parts.database.read() as connection:
                summary.more = jobs.are_waiting(connection, self._parts.now_us())
        summary.ms = int((time.monotonic() - began) * 1000)
        log.info(
            "job",
            job=summary.job,
            kind=summary.kind,
            state=summary.state,
            error=summary.error,
            progress=summary.progress,
            ms=summary.ms,
            callbacks=summary.callbacks,
            more=summary.more,
        )
        return summary

    def _work_on(self, job: Job, summary: Summary) -> None:
        run = Run(job, self._parts, ends=time.monotonic() + self._parts.limits.seconds)
        try:
            with self._kept(run):
                self._works[job.kind](run)
            summary.state = DONE
            kept = self._parts.files.path(job.workspace_id, job.id, form_of(job))
            self._parts.files.remove(job.workspace_id, job.id, kept)  # parts, and what a process left that was killed
        except LostError:
            summary.state = "lost"
        except WaitingError:
            summary.state = "waiting"
            with self._parts.database.write() as connection:
                jobs.put_back(connection, job)
        except JobFailedError as failed:
            self._fail(job, failed.reason, summary)
        except Exception as error:  # whatever a job's data can raise ends that job alone
            log.warning("job_attempt_failed", job=job.id, kind=job.kind, error=type(error).__name__)
            if isinstance(error, DATABASE_ERRORS) and is_transient(error) and job.attempts < MAX_ATTEMPTS:
                self._give_back(job)
                summary.state = "released"
                raise
            self._fail(job, _reason(error), summary)
        summary.progress = run.done

    def _fail(self, job: Job, reason: str, summary: Summary) -> None:
        summary.state, summary.error = "failed", reason
        with self._parts.database.write() as connection:
            ended = jobs.finish(connection, job, self._parts.now_us(), error=reason)
        if ended:  # else somebody else has the job, and its files, by now
            self._parts.files.remove(job.workspace_id, job.id)
        else:
            summary.state, summary.error = "lost", ""

    def _give_back(self, job: Job) -> None:
        with suppress(*DATABASE_ERRORS), self._parts.database.write() as connection:  # else the lease ends
            jobs.release(connection, job)

    @contextmanager
    def _kept(self, run: Run) -> Iterator[None]:
        """A block in which a thread moves the lease on."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(LEASE_US / 6_000_000):
                try:
                    with self._parts.database.write() as connection:
                        if not jobs.beat(connection, run.job, self._parts.now_us()):
                            run.lost.set()
                            return
                except DATABASE_ERRORS as error:
                    log.warning("lease_not_moved_on", job=run.job.id, error=type(error).__name__)

        thread = threading.Thread(target=keep, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _call_back(self) -> int:
        """Make the call that is due for longest; how many that are."""
        job = self._due()
        if job is None:
            return 0
        state = CALLBACK_DELIVERED if self._is_told(job) else CALLBACK_DUE
        tries, now = job.callback_attempts, self._parts.now_us()
        if state == CALLBACK_DUE and tries >= len(CALLBACK_PAUSES):
            state = CALLBACK_FAILED
        pause = CALLBACK_PAUSES[min(tries, len(CALLBACK_PAUSES) - 1)]
        with self._parts.database.write() as connection:
            jobs.called_back(connection, job, state, now + pause * 1_000_000)
        return 1

    def _due(self) -> Job | None:
        return jobs.take_callback(self._parts.database, self._parts.now_us(), CALLBACK_PAUSES[-1] * 1_000_000)

    def _is_told(self, job: Job) -> bool:
        document: dict[str, object] = {"success": job.state == DONE}
        if job.state == DONE:
            document["url"] = url_of(job, self._parts.secret(job.workspace_id))
        try:
            answer = self._out.post(str(job.parameters.get("callback", "")), msgspec.json.encode(document))
        except CallError as error:
            log.warning("callback_failed", job=job.id, reason=error.reason)
            return False
        if not 200 <= answer.status < 300:
            log.warning("callback_failed", job=job.id, status=answer.status)
            return False
        return True


def form_of(job: Job) -> str:
    """The ending of the job's file."""
    return GZIP if job.parameters.get("format") == GZIP_FORMAT else ZIP


def url_of(job: Job, secret: bytes) -> str:
    """Where the file of a job is served."""
    base = str(job.parameters.get("base", ""))
    return file_url.url(base, secret, job.workspace_id, job.id, job.created_us, form_of(job))


def _reason(error: Exception) -> str:
    if isinstance(error, DATABASE_ERRORS) and not isinstance(error, OSError):
        return INTERRUPTED
    return DISK_FAILED if isinstance(error, OSError) else INTERNAL_ERROR
