"""Who uses the processors: shares of one core per kind of process, which tells what the limit is."""

import os
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Reading:
    """CPU seconds so far: per kind of process, and of the whole machine."""

    at: float
    seconds: dict[str, float]
    machine: float
    processes: dict[str, int]


class Meter:
    """Watches trees of processes by the pid of their root."""

    def __init__(self) -> None:
        self._roots: dict[str, int] = {"bench": os.getpid()}

    def add(self, name: str, pid: int) -> None:
        self._roots[name] = pid

    def remove(self, name: str) -> None:
        del self._roots[name]

    def read(self) -> Reading:
        seconds, processes = {}, {}
        for name, pid in self._roots.items():
            trees = _tree(pid, children=name != "bench")
            seconds[name] = sum(_seconds(process) for process in trees)
            if name != "bench" and trees:
                seconds[name] += _ended(trees[0])
            processes[name] = len(trees)
        times = psutil.cpu_times()
        machine = sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0)
        return Reading(time.monotonic(), seconds, machine, processes)

    def tree(self, name: str) -> list[psutil.Process]:
        """The root of one kind of process, and all below it."""
        return _tree(self._roots[name], children=True)

    def used(self, name: str, before: Reading) -> float:
        """CPU seconds of one kind of process since a reading."""
        return self.read().seconds[name] - before.seconds.get(name, 0.0)

    def shares(self, before: Reading) -> str:
        """Per cent of one core since a reading, with the number of processes where there are several."""
        now = self.read()
        elapsed = now.at - before.at
        parts, ours = [], 0.0
        for name, seconds in now.seconds.items():
            used = max(0.0, seconds - before.seconds.get(name, 0.0))
            ours += used
            count = now.processes[name]
            if used / elapsed >= 0.01:
                parts.append(f"{name}{f' ({count})' if count > 1 else ''} {used / elapsed:.0%}")
        others = max(0.0, now.machine - before.machine - ours) / elapsed
        return "CPU: " + ", ".join([*parts, f"others {others:.0%}"])


def _tree(pid: int, *, children: bool) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)] if children else [root]
    except psutil.NoSuchProcess:
        return []


def _ended(process: psutil.Process) -> float:
    """What children used that are no more, such as those of PostgreSQL that help with one statement."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.children_user + times.children_system)


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
