"""Rows of files that somebody brings: NDJSON, JSON, CSV, any of them in gzip, and zips of such files.

A row is the text of a JSON object, or a dict of the cells of a line by their columns. One is in memory at a time; only
a JSON document that does not have an object in each line is read as a whole.
"""

import csv
import gzip
import io
import json
import shutil
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final

#: Bytes of one row. A longer one is given as LONG_ROW.
MAX_ROW_BYTES: Final = 4 * 1024 * 1024
#: Bytes of a JSON document that is read as a whole.
MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
#: Files in files: a zip of gzips is two.
MAX_DEPTH: Final = 3
#: A zip ends with a record of 22 bytes and a comment; where it needs 64 bits, there is one more before it.
_END_BYTES: Final = 22 + 65_535
_END_MAGIC, _LOCATOR_MAGIC = b"PK\x05\x06", b"PK\x06\x07"
_GZIP_MAGIC, _ZIP_MAGIC = b"\x1f\x8b", b"PK\x03\x04"

#: What reading raises; RuntimeError for a zip with a password.
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    UnicodeDecodeError,
    csv.Error,
    RuntimeError,
)

Row = bytes | dict[str, str]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading a file may take. A file of a stranger may be made to take much more than it has bytes."""

    #: Bytes that come out of it altogether.
    unpacked_bytes: int | None = None
    #: Of a JSON document that is read as a whole.
    document_bytes: int = MAX_DOCUMENT_BYTES
    #: Of the table of contents of a zip, which is held in memory.
    directory_bytes: int | None = None


UNBOUNDED: Final = Bounds()


class UnreadableFileError(Exception):
    """The file is damaged, of no known form, or takes more than it may."""


@contextmanager
def seekable(path: Path | None) -> Iterator[Path]:
    """The file itself; for None a private copy of standard input, as long as the block lasts."""
    if path is not None:
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="onefold-", suffix=".ndjson") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, _CHUNK)
        file.flush()
        yield Path(file.name)


def digest(path: Path, key: bytes, way: bytes) -> bytes:
    """A keyed hash of what is in the file, and of the way in which it is read."""
    found = blake2b(len(way).to_bytes(8) + way, key=key, digest_size=16, person=b"import")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.digest()


def rows(path: Path, name: str | None = None, bounds: Bounds = UNBOUNDED) -> Iterator[tuple[str, int, Row]]:
    """(name of the file, number of the line or of the element, row). Blank lines are left out and counted.

    `name` is what the file is called where that is not the name of the path. Raises UnreadableFileError, OSError.
    """
    try:
        with path.open("rb", buffering=_CHUNK) as file:  # the first line is looked at as a whole
            yield from _Reading(bounds).rows(name or path.name, file, 0)
    except _DAMAGED as error:
        raise UnreadableFileError(type(error).__name__) from None


class _Reading:
    """One go through a file, within bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._left = bounds.unpacked_bytes

    def rows(self, name: str, file: Any, depth: int) -> Iterator[tuple[str, int, Row]]:
        """The rows of a file that may be packed. `depth`: how many files it is in."""
        if depth > MAX_DEPTH:
            raise UnreadableFileError("packed too often")
        buffered: Any = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file, _CHUNK)
        start = buffered.peek(4)[:4]
        if start == _ZIP_MAGIC:
            if (most := self._bounds.directory_bytes) is not None and _directory_bytes(buffered) > most:
                raise UnreadableFileError("too many files in a zip")
            with zipfile.ZipFile(buffered) as archive:
                for member in sorted(archive.namelist()):
                    if not member.endswith("/"):
                        with archive.open(member) as inside:
                            yield from self.rows(member, self._counted(inside), depth + 1)
        elif start[:2] == _GZIP_MAGIC:
            with gzip.GzipFile(fileobj=buffered) as unpacked:
                yield from self.rows(name.removesuffix(".gz"), self._counted(unpacked), depth + 1)
        elif name.lower().endswith(".csv"):
            for n, cells in _cells(buffered):
                yield name, n, cells
        else:
            for n, row in _texts(buffered, self._bounds.document_bytes):
                yield name, n, row

    def _counted(self, unpacked: Any) -> Any:
        """The same file, of which no more is read than may come out of the whole."""
        return unpacked if self._left is None else _Counted(unpacked, self.take)

    def take(self, size: int) -> None:
        """Count bytes that came out. Raises UnreadableFileError when they are too many."""
        if self._left is None:
            return
        self._left -= size
        if self._left < 0:
            raise UnreadableFileError("it unpacks to more than it may")


class _Counted(io.RawIOBase):
    """A file whose bytes are counted as they are read."""

    def __init__(self, file: IO[bytes], take: Callable[[int], None]) -> None:
        self._file = file
        self._take = take

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """A zip inside of another file has to be: it is read from its end."""
        return self._file.seekable()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """A step back is read anew, and counts again."""
        before = self._file.tell()
        found = self._file.seek(offset, whence)
        self._take(max(0, found - before) if found >= before else found)
        return found

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any, /) -> int:
        chunk = self._file.read(len(buffer))
        self._take(len(chunk))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _directory_bytes(file: IO[bytes]) -> int:
    """Bytes of the table of contents of a zip, as its last record says. One of a zip that needs 64 bits is infinite."""
    place = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_BYTES))
    end = file.read(_END_BYTES)
    file.seek(place)
    at = end.rfind(_END_MAGIC)
    if at < 0 or len(end) < at + 16 or end[max(0, at - 20) : at].startswith(_LOCATOR_MAGIC):
        return sys.maxsize
    return int.from_bytes(end[at + 12 : at + 16], "little")


def _cells(file: IO[bytes]) -> Iterator[tuple[int, dict[str, str]]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _lines(text)
    finally:
        text.detach()  # the file is not ours to close


def _lines(text: IO[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for n, cells in enumerate(csv.DictReader(_short(text), restkey="", restval=""), 2):
        cells.pop("", None)
        yield n, cells


def _short(text: IO[str]) -> Iterator[str]:
    """Lines, none of which is longer than a row may be."""
    while line := text.readline(MAX_ROW_BYTES + 1):
        if len(line) > MAX_ROW_BYTES:
            raise UnreadableFileError("a line is too long")
        yield line


def _texts(file: Any, most: int) -> Iterator[tuple[int, bytes]]:
    """JSON objects: one a line, or the elements of an array, or of `users` in an answer of /users/export/ids."""
    first = file.peek(_CHUNK)[:_CHUNK].lstrip(b"\xef\xbb\xbf \t\r\n")
    if first.startswith(b"[") or (first.startswith(b"{") and not _is_object(first.splitlines()[0])):
        yield from _elements(file, most)
        return
    n = 0
    while line := file.readline(MAX_ROW_BYTES + 1):
        n += 1
        if len(line) > MAX_ROW_BYTES:
            while line and not line.endswith(b"\n"):
                line = file.readline(_CHUNK)
            yield n, b""
        elif stripped := line.strip():
            if n == 1 and b'"users"' in stripped[:20]:
                yield from enumerate(_users(stripped), 1)
            else:
                yield n, stripped


def _is_object(line: bytes) -> bool:
    """Whether the first line is an object by itself; one that is longer than a look counts as one."""
    try:
        json.loads(line)
    except ValueError:
        return len(line) >= _CHUNK // 2
    return True


def _users(text: bytes) -> list[bytes]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):  # whoever reads the row says so
        return [text]
    users = document.get("users") if isinstance(document, dict) else None
    return [json.dumps(user).encode() for user in users] if isinstance(users, list) else [text]


def _elements(file: IO[bytes], most: int) -> Iterator[tuple[int, bytes]]:
    text = file.read(most + 1)
    if len(text) > most:
        raise UnreadableFileError("a JSON document of this size has to have one object in each line")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise UnreadableFileError("no JSON") from None
    found = document.get("users", [document]) if isinstance(document, dict) else document
    if not isinstance(found, list):
        raise UnreadableFileError("no users")
    for n, element in enumerate(found, 1):
        yield n, json.dumps(element).encode()
