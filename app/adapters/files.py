"""The directory of files that jobs make or take, and the API serves or receives: whole or not at all.

    <directory>/<workspace>/<job id>.zip or .gz      a finished file
    <directory>/<workspace>/<job id>.<n>.part        a part of an unfinished one, finished by itself
    <directory>/<workspace>/<job id>.upload          a file that somebody sent for a job
    <directory>/<workspace>/….tmp                    what is being written

A file is written under another name, brought to the disk, and renamed: who finds the name finds all of it.
"""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

ZIP: Final = "zip"
GZIP: Final = "gz"
_PROBE: Final = "probe-"
_UPLOAD: Final = ".upload"
_TRIES: Final = 10


class Files:
    """The files below a directory, which API and job workers share."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, workspace_id: int, job_id: str, form: str) -> Path:
        """Where the finished file of a job is. `form` is ZIP or GZIP."""
        return self.directory / str(workspace_id) / f"{job_id}.{form}"

    def part(self, workspace_id: int, job_id: str, n: int) -> Path:
        """Where a finished part of an unfinished file is."""
        return self.directory / str(workspace_id) / f"{job_id}.{n}.part"

    def upload(self, workspace_id: int, job_id: str) -> Path:
        """Where the file is that somebody sent for a job."""
        return self.directory / str(workspace_id) / f"{job_id}{_UPLOAD}"

    @contextmanager
    def writing(self, path: Path) -> Iterator[BinaryIO]:
        """A file to write, which becomes `path` at the end of the block, and is gone when the block raises."""
        with self.unnamed(path) as (file, name):
            yield file
            name()

    @contextmanager
    def unnamed(self, path: Path) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
        """A file to write, and a function that brings it to the disk and gives it its name. Without the latter it is
        gone at the end."""
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        file = os.fdopen(self._open(temporary), "wb")

        def name() -> None:
            file.flush()
            os.fsync(file.fileno())
            temporary.rename(path)
            _sync(path.parent)

        try:
            with file:
                yield file, name
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()

    def remove(self, workspace_id: int, job_id: str, but: Path | None = None) -> None:
        """Remove all files of a job, but one."""
        for path in self._of(self.directory / str(workspace_id)):
            if _job_of(path) == job_id and path != but:
                path.unlink(missing_ok=True)

    def tidy(self, wanted: Callable[[], frozenset[str]]) -> int:
        """Remove the files of all jobs but those of `wanted`, which is asked after looking, and folders without any.
        Returns how many files."""
        if not self.directory.is_dir():
            return 0
        folders = [folder for folder in self.directory.iterdir() if folder.name.isdigit()]
        paths, removed = [path for folder in folders for path in self._of(folder)], 0
        keep = wanted() if paths else frozenset[str]()
        for path in paths:
            if _job_of(path) not in keep:
                path.unlink(missing_ok=True)
                removed += 1
        for folder in folders:
            with suppress(OSError):  # it has files, or somebody else was faster
                folder.rmdir()
        return removed

    def uploads(self) -> list[tuple[str, Path]]:
        """(name below the directory, path) of the files that somebody sent and no job has finished with."""
        folders = [folder for folder in self._listed(self.directory) if folder.name.isdigit()]
        paths = [path for folder in folders for path in self._of(folder) if path.suffix == _UPLOAD]
        return sorted((f"{path.parent.name}/{path.name}", path) for path in paths)

    def has(self, name: str) -> bool:
        """Whether there is a file of a name that `uploads` gave."""
        return self._named(name).exists()

    def give(self, name: str, source: Path) -> None:
        """Put a file here under a name that `uploads` gave. Raises OSError: then it may be there or not."""
        with self.writing(self._named(name)) as target, source.open("rb") as file:
            shutil.copyfileobj(file, target)

    def take_back(self, name: str) -> None:
        """Remove a file that `give` may have put here, and its folder where that is empty. Raises OSError."""
        path = self._named(name)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()

    def _named(self, name: str) -> Path:
        folder, _, own = name.partition("/")
        return self.directory / folder / own

    @contextmanager
    def probe(self) -> Iterator[str]:
        """The name of a file that is there during the block: whoever shares the directory sees it. Raises OSError."""
        self._make(self.directory)
        name = _PROBE + secrets.token_hex(8)
        path = self.directory / name
        path.touch(0o600)
        try:
            yield name
        finally:
            path.unlink(missing_ok=True)

    def sees(self, name: str) -> bool:
        """Whether a probe is here."""
        return name.startswith(_PROBE) and name[len(_PROBE) :].isalnum() and (self.directory / name).exists()

    def _listed(self, folder: Path) -> list[Path]:
        with suppress(FileNotFoundError):
            return list(folder.iterdir())
        return []

    def _of(self, folder: Path) -> list[Path]:
        with suppress(FileNotFoundError, NotADirectoryError):
            return [
                path for path in folder.iterdir() if path.suffix in (f".{ZIP}", f".{GZIP}", ".part", _UPLOAD, ".tmp")
            ]
        return []

    def _open(self, path: Path) -> int:
        """A new file. Between making its folder and it, somebody may take the folder for one that is left over."""
        for _ in range(_TRIES):
            self._make(path.parent)
            with suppress(FileNotFoundError):
                return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        raise FileNotFoundError(path.parent)

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _job_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _sync(folder: Path) -> None:
    """Bring the new name to the disk as well."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
