"""Files of the data directory: nobody reads them but the user whom Onefold runs as.

Standard library only. What is made is private by the umask; what an earlier version or a person left more open is
closed when the directory is opened; secrets are replaced as a whole, so that nobody ever reads half of one.
"""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Final

#: Nobody else may do anything with what this process, and the processes that it starts, make.
PRIVATE_UMASK: Final = 0o077
_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022

#: What Onefold makes in its data directory: beginnings of the names of files, and directories.
_OURS: Final = (
    *(
        "default.key",
        "demo.key",
        "backup.json",
        "console.auth",
        "flower.auth",
        "metrics.token",
        "launcher.lock",
        "worker.ready",
        "valkey.sock",
    ),
    *("onefold.db", "onefold-inbox.db"),
)
_OUR_DIRECTORIES: Final = ("logs", "metrics", "restoring", "valkey")


def private_by_default() -> None:
    """Whatever is made from now on, here and in child processes, is for this user alone."""
    os.umask(PRIVATE_UMASK)


def protect(data_dir: Path) -> list[Path]:
    """Close what is open to others: files to 600, directories to 700. Returns what is open still and not ours to close.

    Of the directory itself others lose all rights where nothing else is in it, else the right to write: it may be
    somebody's home. A link is left alone, and so is what it leads to. Nothing happens where there is no directory.
    """
    try:
        entries = sorted(data_dir.iterdir())
    except OSError:  # there is none, or we may not look
        return []
    ours = [entry for entry in entries if _is_ours(entry)]
    left = [] if _close(data_dir, _OTHERS if len(ours) == len(entries) else _OTHERS_WRITE) else [data_dir]
    return left + [path for entry in ours for path in _tree(entry) if not _close(path, _OTHERS)]


def has(data_dir: Path, path: Path) -> bool:
    """Whether a path is, or lies in, what Onefold makes in that data directory. Both are resolved."""
    try:
        inside = path.relative_to(data_dir)
    except ValueError:
        return False
    return bool(inside.parts) and _is_ours(Path(inside.parts[0]))


def _is_ours(path: Path) -> bool:
    return path.name.removeprefix(".").startswith(_OURS) or path.name in _OUR_DIRECTORIES


def _tree(path: Path) -> Iterator[Path]:
    """The path, and all that is below it where it is a directory."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for entry in path.iterdir():
            yield from _tree(entry)


def _close(path: Path, rights: int) -> bool:
    """Take rights away from others. False where they have some and we may not."""
    try:
        found = path.lstat()
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode) or not mode & rights or (mode & stat.S_ISVTX and stat.S_ISDIR(found.st_mode)):
            return True  # a directory with the sticky bit is the system's, such as /tmp
        path.chmod(mode & ~rights)
    except FileNotFoundError:  # gone meanwhile
        return True
    except OSError:
        return False
    return True


def write_secret(path: Path, text: str) -> None:
    """Replace a file by one with this line, mode 600: a reader, or a crash, meets the old one or the new one."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Bring new names to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing_bytes(path: Path) -> Iterator[BinaryIO]:
    """A file to write, mode 600, that takes the place of `path` at the end of the block and is on the disk then.

    Where the block raises, it is gone, and what was there stays. Raises OSError.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


@contextmanager
def replacing(path: Path) -> Iterator[IO[str]]:
    """A file to write, mode 600, that takes the place of `path` at the end of the block, also where the block raises.

    Until then there is what was there before. A pipe or a terminal is written at once. Raises OSError.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8") as stream:
            yield stream
        return
    new = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            try:
                yield file
            finally:
                file.flush()
                os.fsync(file.fileno())
                new.replace(target)
    finally:
        with suppress(OSError):  # where writing it failed
            new.unlink()


def read_secret(path: Path) -> str:
    """The line in a file, without the blanks around it; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
