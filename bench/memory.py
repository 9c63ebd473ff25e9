"""What processes take of the memory while they work: the greatest proportional share that was seen of each kind."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import psutil

from bench.cpu import Meter

SAMPLE_SECONDS: Final = 0.5


@contextmanager
def watched(meter: Meter, names: Sequence[str]) -> Iterator[dict[str, float]]:
    """A block in which processes are looked at. Gives {name: MB of the largest process of that kind}, which grows.

    What several processes have in common counts for each by its share (`Pss` of /proc/PID/smaps_rollup; Linux).
    """
    most = dict.fromkeys(names, 0.0)
    done = threading.Event()

    def look() -> None:
        while not done.wait(SAMPLE_SECONDS):
            for name in names:
                most[name] = max([most[name], *(_megabytes(process) for process in meter.tree(name))])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        done.set()
        thread.join()


def _megabytes(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().pss) / 1e6
    except psutil.Error:
        return 0.0
