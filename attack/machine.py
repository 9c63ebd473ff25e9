"""Memory and CPU of everything that runs: our processes by what they do, and the Redis beside them."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psutil

from fault.processes import role
from fault.stack import Stack

LOOK_SECONDS: Final = 0.25
API, WORKER = "uvicorn", "Celery's child"


class Machine:
    """Looks at the tree of processes until `stop`: the most memory of each kind, and the CPU of the API."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        #: Kind of process -> MB, of the largest one.
        self.before = self._memory()
        self.most: dict[str, float] = dict(self.before)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def api(self) -> int:
        """The process id of the API."""
        return next(process.pid for process in self._family() if role(process) == API)

    def cpu(self) -> float:
        """Seconds of CPU that the API has used so far."""
        used = 0.0
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                if role(process) == API:
                    times = process.cpu_times()
                    used += times.user + times.system
        return used

    def _look(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for name, megabytes in self._memory().items():
                self.most[name] = max(self.most.get(name, 0.0), megabytes)

    def _family(self) -> list[psutil.Process]:
        return [process for program in self._stack.programs() for process in program.family()]

    def _memory(self) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        processes: list[tuple[psutil.Process, Callable[[psutil.Process], str]]]
        processes = [(process, role) for process in self._family()]
        if self._stack.valkey is not None:
            with suppress(psutil.NoSuchProcess):
                processes.append((psutil.Process(self._stack.valkey.pid), lambda _process: "Redis"))
        for process, name in processes:
            with suppress(psutil.NoSuchProcess):
                kind = name(process)
                found[kind] = max(found[kind], process.memory_info().rss / 1e6)
        return found


class Usage:
    """CPU of the API since it was made, in cores."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._began, self._used = time.monotonic(), machine.cpu()

    def cores(self) -> float:
        return (self._machine.cpu() - self._used) / max(0.001, time.monotonic() - self._began)
