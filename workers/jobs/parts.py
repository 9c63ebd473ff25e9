"""A job's file, made of parts: each is written and brought to the disk by itself, then all become one file.

A part is a compressed file with a line for each of its profiles, which is empty where nobody was found any more. Which
profiles those are stands in the database, so that lines of people who were deleted meanwhile are left out.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from zipstream import ZIP_DEFLATED, ZipStream

from app.adapters.files import GZIP
from app.domain.jobs import FILE_TOO_LARGE, STORAGE_FULL
from app.store import job_parts, jobs
from app.store.job_parts import Part
from workers.jobs.run import JobFailedError, LostError, Run, form_of

#: Users of one file inside of a zip (spec export-delete-rename.md 2.1).
PART_USERS: Final = 5_000
_LINES: Final = 100

Page = Callable[[int, int], Sequence[int]]
"""The next profiles by number: behind this one, at most so many."""
Lines = Callable[[Sequence[int]], Iterable[bytes]]
"""A line without its end for each profile, in that order; an empty one where there is nobody any more."""


@dataclass(slots=True)
class _Sizes:
    """What the parts of a job take up."""

    run: Run
    others: int
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count a part. Raises JobFailedError when there is no room for it."""
        self.bytes += size
        limits = self.run.parts.limits
        if self.bytes > limits.file_bytes:
            raise JobFailedError(FILE_TOO_LARGE)
        # The parts and the file that is made of them lie beside each other for a while.
        if self.others + 2 * self.bytes > limits.workspace_bytes:
            raise JobFailedError(STORAGE_FULL)


def make(run: Run, page: Page, lines: Lines, total: int | None) -> None:
    """Make the file of a job from all profiles that `page` gives, and end the job."""
    job, parts = run.job, run.parts
    with parts.database.read() as connection:
        known = job_parts.of(connection, job)
        sizes = _Sizes(run, jobs.used_bytes(connection, job.workspace_id, job.id))
    last, users = 0, 0
    for part in known:  # of an attempt before
        last = max(last, max(part.pids, default=0))
        users += len(part.pids)
        sizes.add(_written(run, part, lines))
    while pids := page(last, PART_USERS):
        part = Part(len(known) + 1, pids)
        with parts.database.write() as connection:
            run.progressed(connection, users, total, sizes.bytes)
            job_parts.add(connection, job.workspace_id, job.id, part.n, pids)
        parts.after_step(job, "part_recorded")
        sizes.add(_written(run, part, lines))
        parts.after_step(job, "part_written")
        known.append(part)
        last, users = pids[-1], users + len(pids)
        run.let_previews_pass()
    with parts.database.write() as connection:
        run.progressed(connection, users, users, sizes.bytes)
    while not _finished(run, sizes):
        run.check()


def _written(run: Run, part: Part, lines: Lines) -> int:
    """See to it that a part is on the disk; its bytes. Who was deleted before it was written has an empty line."""
    job = run.job
    path = run.parts.files.part(job.workspace_id, job.id, part.n)
    if not path.exists():
        with (
            run.parts.files.writing(path) as file,
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed,
        ):
            for line in lines(part.pids):
                run.check()
                packed.write(line + b"\n")
    return path.stat().st_size


def _finished(run: Run, sizes: _Sizes) -> bool:
    """Make one file of the parts and end the job. False when somebody in it was deleted meanwhile: once more."""
    job, parts = run.job, run.parts
    with parts.database.read() as connection:
        stored = job_parts.of(connection, job)
    form = form_of(job)
    path = parts.files.path(job.workspace_id, job.id, form)
    counted = [0]
    with parts.files.unnamed(path) as (file, name):
        size = 0
        for chunk in _packed(run, stored, form, counted):
            run.check()
            file.write(chunk)
            size += len(chunk)
            if size > parts.limits.file_bytes:
                raise JobFailedError(FILE_TOO_LARGE)
        parts.after_step(job, "file_written")
        with parts.database.write() as connection:
            job_parts.lock(connection, job.workspace_id)  # who is deleted from here on finds the job finished
            run.progressed(connection, run.done, run.done, sizes.bytes)
            if job_parts.of(connection, job) != stored:
                return False
            name()
            parts.after_step(job, "file_named")
            now = parts.now_us()
            expires = now + int(parts.limits.file_seconds * 1_000_000)
            done = {"users": counted[0]}
            if not jobs.finish(connection, job, now, result=done, bytes_=size, expires_us=expires):
                raise LostError
    return True


def _packed(run: Run, stored: list[Part], form: str, counted: list[int]) -> Iterator[bytes]:
    if form == GZIP:
        yield from _gzipped(chunk for part in stored for chunk in _left(run, part, counted))
        return
    stream = ZipStream(compress_type=ZIP_DEFLATED, compress_level=6)
    for part in stored:
        if any(part.pids):
            stream.add(_left(run, part, counted), f"{part.n:05}.jsonl")
    yield from stream


def _gzipped(chunks: Iterable[bytes]) -> Iterator[bytes]:
    sink = _Sink()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, mtime=0) as packed:
        for chunk in chunks:
            packed.write(chunk)
            yield sink.taken()
    yield sink.taken()


class _Sink:
    """Takes what is written, until it is taken on."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


def _left(run: Run, part: Part, counted: list[int]) -> Iterator[bytes]:
    """The lines of a part without those of people who are gone, some at a time."""
    path: Path = run.parts.files.part(run.job.workspace_id, run.job.id, part.n)
    with gzip.open(path, "rb") as file:
        lines: Iterator[bytes] = _matching(file, part.pids)
        while some := list(islice(lines, _LINES)):
            counted[0] += len(some)
            yield b"".join(some)


def _matching(file: Iterable[bytes], pids: Sequence[int]) -> Iterator[bytes]:
    for pid, line in zip(pids, file, strict=True):
        if pid and line != b"\n":
            yield line
