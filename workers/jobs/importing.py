"""Importing a file that somebody sent: each row once, however often the job is begun.

How far the file is stands beside the inbox, in the transaction of its rows (app.store.inbox.import_files). So an
attempt goes on where the one before ended. It reads what that one imported once more, for the report. The report names
file, line and reason of each row that was refused, and nothing of what is in the row.
"""

import gzip
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from app.adapters.files import GZIP
from app.adapters.row_sources import UnreadableFileError
from app.domain.commands import STREAM_BULK, StreamKey
from app.domain.jobs import TARGET_GONE, UNREADABLE_FILE, UPLOAD_INCOMPLETE
from app.store import import_erasures, job_parts, jobs
from app.store.inbox import log as inbox
from app.store.inbox.import_files import OtherRunError
from app.store.jobs import Job
from workers.jobs.run import JobFailedError, LostError, Run

#: Rows that the report lists; further ones are counted.
MOST_LISTED: Final = 100_000
#: Fields of users that the job names of those that were left out.
MOST_FIELDS: Final = 20
#: How often it is written how far the job is.
_PROGRESS_SECONDS: Final = 1.0
#: When it is looked again whether another run of the same file is over.
_OTHER_RUN_US: Final = 15_000_000


class Report(Protocol):
    """What became of the rows: app.services.imports.Report."""

    taken: Counter[str]
    before: int
    refused: int
    ignored: Counter[tuple[str, str]]
    known: int


class Import(Protocol):
    """One run of a file: app.services.file_imports.FileRun."""

    @property
    def report(self) -> Report:
        """As far as it has gone."""

    def run(self) -> Iterator[int]:
        """Import; after each portion how many rows are done. Raises OtherRunError, UnreadableFileError."""

    def wait(self) -> None:
        """Until all that was sent is applied."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What an import tells, and asks, as it goes on."""

    #: (file, line, reason) of a row that was refused.
    refused: Callable[[str, int, str], None]
    #: Whether a row names somebody who was deleted since the file came.
    gone: Callable[[set[str]], bool]
    #: Called while there is no room for more; may raise.
    waiting: Callable[[float], None]


Begin = Callable[[Job, Path, Hooks], Import | None]
"""Begins the import of a job's file; None where the workspace is gone."""


def importing(begin: Begin) -> Callable[[Run], None]:
    """The work of such jobs."""

    def work(run: Run) -> None:
        _import(run, begin)

    return work


def _import(run: Run, begin: Begin) -> None:
    job, parts = run.job, run.parts
    upload = parts.files.upload(job.workspace_id, job.id)
    if not upload.exists():
        raise JobFailedError(UPLOAD_INCOMPLETE)
    path = parts.files.path(job.workspace_id, job.id, GZIP)
    with (
        parts.files.unnamed(path) as (file, name),
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) as listed,
    ):
        steps = _Steps(run, upload.stat().st_size, listed)
        under_way = begin(job, upload, Hooks(steps.refused, steps.gone, steps.waiting))
        if under_way is None:
            raise JobFailedError(TARGET_GONE)
        _work(run, under_way, steps)
        listed.close()
        size = file.tell() if under_way.report.refused else 0
        now_us = parts.now_us()
        expires_us = now_us + int(parts.limits.file_seconds * 1_000_000) if size else None
        with parts.database.write() as connection:
            job_parts.forget(connection, job)
            if size:
                name()
            done = {"import": _shown(under_way.report, dry=bool(job.parameters["dry_run"]))}
            if not jobs.finish(connection, job, now_us, result=done, bytes_=size, expires_us=expires_us):
                raise LostError


def _work(run: Run, under_way: Import, steps: "_Steps") -> None:
    try:
        for done in under_way.run():
            steps.done(done)
        steps.tell()
        under_way.wait()
    except UnreadableFileError:
        raise JobFailedError(UNREADABLE_FILE) from None
    except inbox.UnknownWorkspaceError:
        raise JobFailedError(TARGET_GONE) from None
    except OtherRunError:  # a command, or another job, imports the same file: when it is over, nothing is left to do
        with run.parts.database.write() as connection:
            jobs.postpone(connection, run.job, run.parts.now_us() + _OTHER_RUN_US, {})
        raise LostError from None


class _Steps:
    """How far one attempt is, and the list of refused rows."""

    def __init__(self, run: Run, size: int, listed: gzip.GzipFile) -> None:
        self._run = run
        self._size = size
        self._listed = listed
        self._refused = 0
        self._rows = 0
        self._told = time.monotonic()
        self._secret = run.parts.secret(run.job.workspace_id)
        self._erased = self._read_erased()

    def done(self, rows: int) -> None:
        """A portion is stored."""
        run, self._rows = self._run, rows
        run.parts.after_step(run.job, "portion_sent")
        run.parts.ring(StreamKey(run.job.workspace_id, STREAM_BULK))
        self._erased = self._read_erased()
        if time.monotonic() - self._told > _PROGRESS_SECONDS:
            self.tell()
        run.check()

    def _read_erased(self) -> frozenset[bytes]:
        with self._run.parts.database.read() as connection:
            return import_erasures.of(connection, self._run.job)

    def tell(self) -> None:
        """Record how far it is. Raises LostError."""
        self._told = time.monotonic()
        with self._run.parts.database.write() as connection:
            self._run.progressed(connection, self._rows, None, self._size)

    def refused(self, file: str, line: int, why: str) -> None:
        self._run.check()
        self._refused += 1
        if self._refused <= MOST_LISTED:
            self._listed.write(msgspec.json.encode({"file": file, "line": line, "reason": why}) + b"\n")

    def gone(self, names: set[str]) -> bool:
        return bool(self._erased) and any(import_erasures.digest(self._secret, name) in self._erased for name in names)

    def waiting(self, _seconds: float) -> None:
        self._run.check()


def _shown(report: Report, *, dry: bool) -> Mapping[str, Any]:
    """What the job keeps of the report."""
    return {
        "taken": dict(report.taken),
        "imported_before": report.before,
        "refused": report.refused,
        "left_out": [
            {"field": field, "reason": why, "count": count}
            for (field, why), count in report.ignored.most_common(MOST_FIELDS)
        ],
        **({"known_users": report.known} if dry else {}),
    }
