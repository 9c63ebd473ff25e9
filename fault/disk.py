"""A disk that loses what was not synced: `power_cut` leaves of each file what a machine may find when it comes back.

fault/disk.c, preloaded into whoever writes, keeps each file as it was synced last. Names are taken to be on the disk at
once, as the journal of a file system has them in order. Of the content of a file everything that was not synced may be
there or not, page by page.
"""

import fcntl
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

#: Inodes of this file system are not given out again while it is mounted.
MEMORY: Final = Path("/dev/shm")
PAGE: Final = 4_096
SOURCE: Final = Path(__file__).with_name("disk.c")


class NoDiskError(Exception):
    """Such a disk cannot be had here, and why."""


class Disk:
    """A directory that loses power."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.root, self._kept = folder / "root", folder / "kept"
        for path in (folder, self.root, self._kept):
            path.mkdir(exist_ok=True)
            path.chmod(0o777)
        self.environment = {
            "LD_PRELOAD": str(library),
            "DISK_ROOT": str(self.root),
            "DISK_KEPT": str(self._kept),
        }

    def sync(self) -> None:
        """As sync(1) does: all that is there now stays."""
        for path in self._files():
            with suppress(FileNotFoundError):
                number = path.stat().st_ino
                with (self._kept / f"{number}.lock").open("a") as lock:  # as disk.c does
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    os.fchmod(lock.fileno(), 0o666)
                    new = self._kept / f"{number}.new"
                    shutil.copyfile(path, new)
                    new.chmod(0o666)
                    new.rename(self._kept / str(number))

    def power_cut(self, rng: random.Random) -> int:
        """Every writer was killed. Returns how many pages were lost that had not been synced."""
        lost = 0
        for path in self._files():
            now, kept = path.read_bytes(), self._kept / str(path.stat().st_ino)
            synced = kept.read_bytes() if kept.exists() else b""
            if now != synced:
                found, pages = mixed(now, synced, rng)
                lost += pages
                with path.open("r+b") as file:
                    file.write(found)
                    file.truncate()
        for path in self._kept.iterdir():
            path.unlink()
        self.sync()
        return lost

    def _files(self) -> list[Path]:
        """What may lose something. Nobody ever syncs a log, and what it lost would pass for a hit."""
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        return [path for path in found if path.name != "log" and path.suffix != ".log"]


def mixed(now: bytes, synced: bytes, rng: random.Random) -> tuple[bytes, int]:
    """(what is found of a file, pages that were lost): all that was not synced is gone, or any part of it."""
    share = rng.choice((0.0, 0.5, 0.9))
    length = len(synced) if share == 0 else max(len(now), len(synced))
    found, lost = bytearray(), 0
    for start in range(0, length, PAGE):
        new, old = now[start : start + PAGE], synced[start : start + PAGE]
        if new != old and rng.random() >= share:
            lost += 1
            new = old.ljust(min(PAGE, length - start), b"\0")
        found += new.ljust(min(PAGE, length - start), b"\0")
    return bytes(found), lost


@contextmanager
def disk() -> Iterator[Disk]:
    """A disk for the length of the block. Raises NoDiskError."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not MEMORY.is_dir():
        raise NoDiskError("a disk that loses power takes a C compiler and /dev/shm")
    with TemporaryDirectory(prefix="onefold-disk-", dir=MEMORY) as name:
        folder = Path(name)
        library = folder / "disk.so"
        words = (compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(SOURCE), "-ldl")
        subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
        library.chmod(0o755)
        yield Disk(folder, library)
