"""The files through which processes of one machine share their metrics (PROMETHEUS_MULTIPROC_DIR).

prometheus_client makes a file for each process and kind of metric, and leaves it when the process ends. A pool that
loses processes again and again would have ever more of them. So what the dead have counted is added up in one file of
each kind, and their own go: no number falls.
"""

import fcntl
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from struct import error as StructError  # noqa: N812 - it is an exception
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

#: Kinds whose values add up. We have no others.
_SUMS: Final = ("counter", "histogram")
#: In the name of a file, in place of the number of a process.
_GONE: Final = "gone"
_LOCK: Final = "lock"


class SharedMetrics(Collector):
    """What all processes that count into a directory have counted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Reads all files, while none of them goes."""
        with _locked(self._folder):
            # Not by the library's own look: it takes the name of the directory for a pattern, and it fails on a file
            # that a process is just making, or was killed at.
            files = [str(path) for path in self._folder.glob("*.db") if path.stat().st_size]
            return list(MultiProcessCollector.merge(files, accumulate=True))  # type: ignore[no-untyped-call]


def retire(folder: Path) -> int:
    """Add up what processes have counted that are dead, and remove their files. Returns how many files went.

    A crash in the midst of it may lose what one dead process counted; nothing is ever counted twice.
    """
    retired = 0
    with _locked(folder):
        for kind in _SUMS:
            dead = [path for path in sorted(folder.glob(f"{kind}_*.db")) if _is_dead(path)]
            if not dead:
                continue
            sums: defaultdict[str, float] = defaultdict(float)
            for path in dead:
                for key, value in _values(path):
                    sums[key] += value
                path.unlink()
            together = MmapedDict(str(folder / f"{kind}_{_GONE}.db"))  # type: ignore[no-untyped-call]
            try:
                for key, value in sums.items():
                    before, _ = together.read_value(key)  # type: ignore[no-untyped-call]
                    together.write_value(key, before + value, 0.0)  # type: ignore[no-untyped-call]
            finally:
                together.close()  # type: ignore[no-untyped-call]
            retired += len(dead)
    return retired


def _is_dead(path: Path) -> bool:
    """Whether no process has the number in the file's name. A number that was given out again dies another time."""
    pid = path.stem.rpartition("_")[2]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's by now
        return True
    return False


def _values(path: Path) -> Iterator[tuple[str, float]]:
    """What a file holds. A process that was killed while it made its file has counted nothing."""
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            yield key, value
    except (StructError, RuntimeError, UnicodeDecodeError):
        return


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The only one of all processes that reads files of others, or removes them."""
    with (folder / _LOCK).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
