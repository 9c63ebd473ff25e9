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
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Final

#: Bytes of one row. A longer one is given as LONG_ROW.
MAX_ROW_BYTES: Final = 4 * 1024 * 1024
#: Bytes of a JSON document that is read as a whole.
MAX_DOCUMENT_BYTES: Final = 256 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
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


class UnreadableFileError(Exception):
    """The file is damaged, or of no known form."""


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


def rows(path: Path) -> Iterator[tuple[str, int, Row]]:
    """(name of the file, number of the line or of the element, row). Blank lines are left out and counted.

    Raises UnreadableFileError, OSError.
    """
    try:
        with path.open("rb") as file:
            yield from _rows(path.name, file)
    except _DAMAGED as error:
        raise UnreadableFileError(type(error).__name__) from None


def _rows(name: str, file: Any) -> Iterator[tuple[str, int, Row]]:
    buffered: Any = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)
    start = buffered.peek(4)[:4]
    if start == _ZIP_MAGIC:
        with zipfile.ZipFile(buffered) as archive:
            for member in sorted(archive.namelist()):
                if not member.endswith("/"):
                    with archive.open(member) as inside:
                        yield from _rows(member, inside)
    elif start[:2] == _GZIP_MAGIC:
        with gzip.GzipFile(fileobj=buffered) as unpacked:
            yield from _rows(name.removesuffix(".gz"), unpacked)
    elif name.lower().endswith(".csv"):
        for n, cells in _cells(buffered):
            yield name, n, cells
    else:
        for n, row in _texts(buffered):
            yield name, n, row


def _cells(file: IO[bytes]) -> Iterator[tuple[int, dict[str, str]]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _lines(text)
    finally:
        text.detach()  # the file is not ours to close


def _lines(text: IO[str]) -> Iterator[tuple[int, dict[str, str]]]:
    for n, cells in enumerate(csv.DictReader(text, restkey="", restval=""), 2):
        cells.pop("", None)
        yield n, cells


def _texts(file: Any) -> Iterator[tuple[int, bytes]]:
    """JSON objects: one a line, or the elements of an array, or of `users` in an answer of /users/export/ids."""
    first = file.peek(_CHUNK)[:_CHUNK].lstrip(b"\xef\xbb\xbf \t\r\n")
    if first.startswith(b"[") or (first.startswith(b"{") and not _is_object(first.splitlines()[0])):
        yield from _elements(file)
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


def _elements(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    text = file.read(MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
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
