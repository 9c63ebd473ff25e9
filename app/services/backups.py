"""Backups of the embedded default: one file with both databases, the secrets of the data directory, and what was sent
for imports that are not done. PostgreSQL has tools of its own for this: see docs/operations.md.

What is not in it: Redis's data (limits begin full), logs, and the files that jobs made, which can be asked for again.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from app.adapters import archive
from app.adapters.archive import BrokenArchiveError
from app.adapters.files import Files
from app.adapters.private_files import has, read_secret, replacing_bytes, sync_directory, write_secret
from app.store import copies, migrate, restored
from app.store.copies import BrokenCopyError
from app.store.engine import Database, inbox_file

__all__ = [
    "BrokenArchiveError",
    "BrokenCopyError",
    "Kept",
    "LaterSchemaError",
    "NoPlaceError",
    "make",
    "record",
    "restore",
]

#: Files of the data directory that a backup has, where they are there: whoever has one of them has what it opens.
SECRETS: Final = ("default.key", "demo.key", "console.auth", "flower.auth", "metrics.token")
#: In the data directory: when it was backed up last, and of when it was restored.
RECORD: Final = "backup.json"
#: In the data directory, as long as a restore is not finished.
RESTORING: Final = "restoring"
_FILES: Final = "files"
_COMPRESSED: Final = (".gz", ".tgz")


class NoPlaceError(Exception):
    """Where the backup was to be is something that it must not replace. The message says what."""


class LaterSchemaError(Exception):
    """The backup is of a later version of Onefold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of backups of a data directory; None where there was none. Microseconds."""

    #: Of when the last backup is.
    taken_us: int | None = None
    #: When this directory was restored, and of when the backup was.
    restored_us: int | None = None
    restored_of_us: int | None = None


def make(main: Path, files: Files, path: Path, now_us: int) -> int:
    """Write a backup of a main database, and of what is beside it, to `path`. Returns its bytes.

    It has mode 600, and takes the place of what was there once it is whole. Everybody else goes on. Needs room beside
    `path` for the databases and, until it is finished, for them once more. A name that ends in `.gz` or `.tgz` is
    compressed. Raises NoPlaceError, BrokenCopyError, OSError, sqlite3.Error.
    """
    data_dir, path = main.parent, path.resolve()
    _see_place(data_dir, files, path)
    with (
        ExitStack() as stack,
        TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder,
    ):
        copy = Path(folder) / main.name
        uploads: list[tuple[str, BinaryIO]] = []

        def hold() -> None:
            """Open what jobs wait for: at this instant nobody can finish a job. One that has just finished may be
            removing its file."""
            for name, source in files.uploads():
                with suppress(FileNotFoundError):
                    uploads.append((name, stack.enter_context(source.open("rb"))))

        with copies.snapshot(main, hold) as readers:
            copies.write(readers.main, copy)
            copies.write(readers.inbox, inbox_file(copy))
        copies.check(copy)
        with replacing_bytes(path) as target, archive.Writer(target, compress=path.suffix in _COMPRESSED) as writer:
            for database in (copy, inbox_file(copy)):
                writer.add_file(database.name, database)
                database.unlink()
            for secret in (data_dir / name for name in SECRETS):
                if secret.is_file():
                    writer.add_file(secret.name, secret)
            for name, file in uploads:
                writer.add(f"{_FILES}/{name}", file)
            writer.finish({"taken_us": now_us, "schema": readers.schema})
    _write_record(data_dir, {"taken_us": now_us})
    return path.stat().st_size


def _see_place(data_dir: Path, files: Files, path: Path) -> None:
    """A backup may take the place of an earlier one, and of nothing that Onefold or the system works with."""
    if has(data_dir.resolve(), path) or files.directory.resolve() in (path, *path.parents):
        raise NoPlaceError("Onefold itself keeps its files there")
    if not path.parent.is_dir():
        raise NoPlaceError("there is no such directory")
    if path.exists() and not path.is_file():
        raise NoPlaceError("there is something that is no ordinary file")


def restore(path: Path, main: Path, files: Files, now_us: int) -> int:
    """Put what a backup has where `main` and the files beside it belong: of when it is, in microseconds. Nobody may be
    at work there, and nothing may be there but what a restore has left that was cut short, which is removed.

    Nothing is where it belongs before everything was looked at; the main database comes last. The schema is brought up
    to date. What numbers behind the backup stood for is not true any more: see app.store.restored. Whatever fails,
    nothing of it stays.

    Raises BrokenArchiveError, BrokenCopyError, LaterSchemaError, OSError, SQLAlchemyError.
    """
    data_dir = main.parent
    folder = data_dir / RESTORING
    clear(main)
    given: list[str] = []
    try:
        folder.mkdir(mode=0o700)
        taken_us = _looked_at(archive.unpack(path, folder), folder / main.name)
        database = Database(f"sqlite:///{quote(str(folder / main.name))}")
        try:
            migrate.upgrade(database)
            restored.go_on(database)
        finally:
            database.dispose()
        _write_record(folder, {"restored_us": now_us, "restored_of_us": taken_us})
        for source in sorted((folder / _FILES).glob("*/*")):
            name = f"{source.parent.name}/{source.name}"
            if not files.has(name):
                given.append(name)
                files.give(name, source)
        shutil.rmtree(folder / _FILES, ignore_errors=True)
        last = [inbox_file(main).name, main.name]
        for name in [*sorted(each.name for each in folder.iterdir() if each.name not in last), *last]:
            (folder / name).rename(data_dir / name)
        sync_directory(data_dir)
        folder.rmdir()
        sync_directory(data_dir)
    except BaseException:
        folder.mkdir(mode=0o700, exist_ok=True)  # as long as not all of it is gone, nobody begins with the rest
        for name in given:
            files.take_back(name)
        clear(main)
        raise
    return taken_us


def clear(main: Path) -> None:
    """Remove what a restore has put into a data directory and was not finished. Harmless where none was begun.

    The directory was empty before, and nobody begins to work in it as long as RESTORING is there. So whatever has a
    name of ours is the restore's. Raises OSError.
    """
    data_dir = main.parent
    if not (data_dir / RESTORING).is_dir():
        return
    databases = [f"{file.name}{suffix}" for file in (main, inbox_file(main)) for suffix in ("", "-wal", "-shm")]
    for name in (*databases, *SECRETS, RECORD):
        (data_dir / name).unlink(missing_ok=True)
    for name in (_FILES, RESTORING):
        with suppress(FileNotFoundError):
            shutil.rmtree(data_dir / name)


def _looked_at(manifest: Mapping[str, Any], main: Path) -> int:
    """Of when a backup is that was unpacked, in microseconds."""
    taken_us, schema = manifest.get("taken_us"), manifest.get("schema")
    databases = {main.name, inbox_file(main).name}
    there = {each.name for each in main.parent.iterdir()}
    if not isinstance(taken_us, int) or not databases <= there <= {*databases, *SECRETS, _FILES}:
        raise BrokenArchiveError("it is no backup of Onefold")
    if not isinstance(schema, str) or not migrate.knows(schema):
        raise LaterSchemaError
    copies.check(main)
    return taken_us


def record(data_dir: Path) -> Kept:
    """What is known of backups of a data directory."""
    try:
        return Kept(**json.loads(read_secret(data_dir / RECORD) or "{}"))
    except (ValueError, TypeError):
        return Kept()


def _write_record(data_dir: Path, known: Mapping[str, int]) -> None:
    write_secret(data_dir / RECORD, json.dumps({**asdict(record(data_dir)), **known}))
