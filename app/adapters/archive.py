"""An archive of files with a manifest behind them: a tar file, whose last entry says what has to be in it.

An archive without its manifest is one whose writing was cut short. Entries are files only, with names of our own:
nothing that is unpacked can lead out of the directory that it is unpacked into.
"""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Literal, Self

MANIFEST: Final = "manifest.json"
#: What is made by a later version that this one cannot read has another number.
FORMAT: Final = 1

_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MOST_PARTS: Final = 4
_LARGEST_MANIFEST: Final = 64 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
#: How a compressed archive begins (RFC 1952, 2.3.1).
_GZIP: Final = b"\x1f\x8b"
#: Gzip's quickest level: databases shrink to a quarter with it, and little further with the others.
_LEVEL: Final = 1


class BrokenArchiveError(Exception):
    """The file is no archive of ours, or not all of one."""


class _Hashed(io.RawIOBase):
    """A file that is read once, and the digest of what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self.digest.update(found)
        return found


class Writer:
    """Writes an archive to a file that it does not close; with `compress`, gzip's."""

    def __init__(self, file: BinaryIO, *, compress: bool) -> None:
        self._stack = ExitStack()
        target: BinaryIO = file
        if compress:
            zipped = gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0)
            target = self._stack.enter_context(zipped)  # type: ignore[assignment]
        self._tar = self._stack.enter_context(tarfile.TarFile(fileobj=target, mode="w", format=tarfile.PAX_FORMAT))
        self._files: list[dict[str, object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, name: str, file: BinaryIO) -> None:
        """Add an open file, from its beginning, as large as it is now."""
        size = os.fstat(file.fileno()).st_size
        hashed = _Hashed(file)
        self._tar.addfile(_entry(name, size), hashed)
        self._files.append({"name": name, "size": size, "sha256": hashed.digest.hexdigest()})

    def add_file(self, name: str, path: Path) -> None:
        """Add a file that is there."""
        with path.open("rb") as file:
            self.add(name, file)

    def finish(self, about: Mapping[str, object]) -> None:
        """Add the manifest: what is in the archive, and `about`."""
        manifest = json.dumps({**about, "format": FORMAT, "files": self._files}, indent=1).encode()
        self._tar.addfile(_entry(MANIFEST, len(manifest)), io.BytesIO(manifest))


def unpack(archive: Path, folder: Path) -> Mapping[str, Any]:
    """Unpack into an empty directory of ours: files of mode 600 in directories of mode 700, brought to the disk.

    Returns the manifest, of which every file was seen to be right. Raises BrokenArchiveError, OSError.
    """
    found: dict[str, tuple[int, str]] = {}
    manifest: bytes | None = None
    try:
        with tarfile.open(archive, _mode(archive)) as tar:
            for member in tar:
                if manifest is not None or not member.isreg() or not _is_safe(member.name) or member.name in found:
                    raise BrokenArchiveError("it holds something that no backup holds")
                file = tar.extractfile(member)
                assert file is not None  # noqa: S101 - a regular file has content
                if member.name == MANIFEST:
                    if member.size > _LARGEST_MANIFEST:
                        raise BrokenArchiveError("its manifest is too large")
                    manifest = file.read()
                else:
                    found[member.name] = _written(file.read, folder / member.name)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise BrokenArchiveError("it is no archive, or the end of it is missing") from error
    return _checked(manifest, found)


def _mode(archive: Path) -> Literal["r:gz", "r:"]:
    """How `tarfile` reads the file. It would take other compressions as well, each with errors of its own."""
    with archive.open("rb") as file:
        return "r:gz" if file.read(len(_GZIP)) == _GZIP else "r:"


def _checked(manifest: bytes | None, found: Mapping[str, tuple[int, str]]) -> Mapping[str, Any]:
    if manifest is None:
        raise BrokenArchiveError("the end of it is missing")
    try:
        known = json.loads(manifest)
        version = known["format"]
        wanted = {each["name"]: (each["size"], each["sha256"]) for each in known["files"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BrokenArchiveError("its manifest cannot be read") from error
    if version != FORMAT:
        raise BrokenArchiveError("it was made by a later version")
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise BrokenArchiveError(f"not as it was written: {', '.join(wrong)}")
    checked: Mapping[str, Any] = known
    return checked


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _is_safe(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= _MOST_PARTS and all(_PART.fullmatch(part) for part in parts)


def _written(read: Callable[[int], bytes], path: Path) -> tuple[int, str]:
    """(size, digest) of what was written to a new file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    size, digest = 0, hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while chunk := read(_CHUNK):
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return size, digest.hexdigest()
