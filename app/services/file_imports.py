"""The import of a file that somebody sent, for the job that works on it. The rules are those of `onefold import`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from app.adapters import row_sources
from app.adapters.row_sources import Bounds
from app.contract import import_files, rows
from app.domain.ids import lasting
from app.services.imports import Import, Report, Row, Way
from app.services.workspaces import operator_of
from app.store.engine import Database
from app.store.jobs import Job


class Hooks(Protocol):
    """What a job wants to hear, and has to say: workers.jobs.importing.Hooks."""

    @property
    def refused(self) -> Callable[[str, int, str], None]:
        """Told of each row that is not taken: file, line, reason."""

    @property
    def gone(self) -> Callable[[set[str]], bool]:
        """Whether a row names somebody who was deleted."""

    @property
    def waiting(self) -> Callable[[float], None]:
        """Called while there is no room for more."""


class FileRun:
    """One attempt at the file of a job."""

    def __init__(self, run: Import, source: Callable[[], Iterator[Row]]) -> None:
        self._run = run
        self._source = source
        self.report: Report = run.report

    def run(self) -> Iterator[int]:
        """After each portion how many rows are done. Raises OtherRunError, UnreadableFileError."""
        return self._run.run(self._source())

    def wait(self) -> None:
        """Until all that was sent is applied."""
        self._run.wait()


def file_run(
    database: Database,
    job: Job,
    path: Path,
    hooks: Hooks,
    now_us: Callable[[], int],
    bounds: Bounds,
    most_files: int,
) -> FileRun | None:
    """An attempt at the import of the file at `path`; None where the workspace is gone. Raises OSError."""
    caller = operator_of(database, job.workspace_id, job.created_by)
    if caller is None:
        return None
    wanted = import_files.of_job(job.parameters)
    mapped = None if wanted.mapping is None else rows.read_mapping(wanted.mapping.encode())
    way = Way(wanted.overwrite, wanted.kind, mapped)

    def refused(row: Row, why: str) -> None:
        hooks.refused(row.file, row.line, why)

    run = Import(
        database,
        caller,
        row_sources.digest(path, lasting(caller.workspace_secret), way.as_bytes()),
        way,
        now_us,
        dry=wanted.dry,
        retell=True,
        most_files=most_files,
        gone=lambda document: hooks.gone(rows.named(document)),
        refused=refused,
        waiting=hooks.waiting,
    )

    def source() -> Iterator[Row]:
        return (Row(*place) for place in row_sources.rows(path, wanted.name, bounds))

    return FileRun(run, source)
