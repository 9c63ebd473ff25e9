"""The three that are compared: the baseline, the careful baseline, and Onefold.

Each has an API, worker processes that can be killed, and a queue that can be asked.
"""

import os
import subprocess
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import psutil
import redis
from redis.exceptions import RedisError

from bench import preload
from bench.baseline import tables
from bench.baseline.tasks import QUEUE
from bench.stack import Site, Stack
from bench.table import BenchError
from tests.polling import gone, until

#: The key of the baseline's API.
KEY: Final = "baseline-key"
FIRST: Final = "baseline"
CAREFUL: Final = "baseline, careful"
OURS: Final = "Onefold"
NAMES: Final = (FIRST, CAREFUL, OURS)
#: A worker is restarted by hand when nothing moves for so long, and so often.
STUCK_SECONDS: Final = 20.0
MOST_RESTARTS: Final = 2
#: The queue is empty when it was empty for so long: a retry waits in the worker.
QUIET_SECONDS: Final = 1.0


class Side(Protocol):
    """One of the three."""

    @property
    def name(self) -> str:
        """One of `NAMES`."""

    @property
    def key(self) -> str:
        """The API key."""

    def api(self) -> AbstractContextManager[int]:
        """Its API process; gives the port."""

    def worker(self, processes: int) -> AbstractContextManager["subprocess.Popen[str]"]:
        """Its Celery worker."""

    def beside(self) -> AbstractContextManager[None]:
        """What else applies, and is not killed."""

    def waiting(self) -> int:
        """Requests that are accepted and not applied. Raises RedisError while the broker is away."""


@dataclass(slots=True)
class Baseline:
    """The three files beside this one; `careful` with what one adds after the first incident."""

    stack: Stack
    careful: bool
    #: Of its database.
    phase: str
    key: str = KEY
    name: str = field(init=False)
    _env: dict[str, str] = field(init=False)
    _redis: "redis.Redis" = field(init=False)

    def __post_init__(self) -> None:
        if self.stack.postgres is None:
            raise BenchError("the baseline is compared on PostgreSQL")
        self.name = CAREFUL if self.careful else FIRST
        self._redis = redis.Redis.from_url(self.stack.redis_url, socket_timeout=2.0)
        self._env = {
            **os.environ,
            tables.KEY: self.key,
            tables.BROKER: self.stack.broker_url,
            tables.DATABASE: self.stack.postgres.create_database(f"baseline_{self.phase}_{self.careful:d}"),
            tables.CAREFUL: "1" if self.careful else "",
        }

    def api(self) -> AbstractContextManager[int]:
        return self.stack.baseline(self._env)

    def worker(self, processes: int) -> AbstractContextManager["subprocess.Popen[str]"]:
        return self.stack.celery("bench.baseline.tasks", (), self._env, processes)

    def beside(self) -> AbstractContextManager[None]:
        return nullcontext()

    def waiting(self) -> int:
        return int(self._redis.llen(QUEUE)) + int(self._redis.hlen("unacked"))


@dataclass(slots=True)
class Ours:
    """Onefold, as it runs in production."""

    stack: Stack
    site: Site
    name: str = OURS

    @property
    def key(self) -> str:
        return self.site.key

    def api(self) -> AbstractContextManager[int]:
        return self.stack.api(self.site)

    def worker(self, processes: int) -> AbstractContextManager["subprocess.Popen[str]"]:
        return self.stack.worker_alone(self.site, processes)

    def beside(self) -> AbstractContextManager[None]:
        return self.stack.sweeper(self.site)

    def waiting(self) -> int:
        database = self.site.open()
        try:
            head, cursor = preload.place(database, self.site)
        finally:
            database.dispose()
        return head - cursor


class Worker:
    """A worker of a side that can be killed with all its processes, and comes back."""

    def __init__(self, side: Side, processes: int) -> None:
        self._side = side
        self._processes = processes
        self._running = ExitStack()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Worker":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> None:
        self._process = self._running.enter_context(self._side.worker(self._processes))

    def pool(self) -> list[psutil.Process]:
        """The processes that apply: what the worker forked."""
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children()
        return []

    def kill_one(self) -> None:
        """SIGKILL for one process that applies, as the kernel does it when memory is short; Celery forks another."""
        for process in self.pool()[:1]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def kill(self) -> None:
        """SIGKILL for the worker and all that it forked; then it is started again."""
        assert self._process is not None
        family = [psutil.Process(self._process.pid), *self.pool()]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        until(lambda: all(gone(process.pid) for process in family), message="a killed worker lives on")
        self._running.close()
        self.start()


def settle(one: Side, worker: "Worker") -> int:
    """Wait until nothing waits, for a while; how often the worker had to be restarted by hand for that.

    A worker that applies nothing for `STUCK_SECONDS` though something waits is killed and started, as somebody on call
    would do it. What waits even then is not waited for.
    """
    restarts, least, moved = 0, None, time.monotonic()
    quiet_since: float | None = None
    while True:
        waiting = None
        with suppress(RedisError):
            waiting = one.waiting()
        now = time.monotonic()
        if waiting == 0:
            quiet_since = quiet_since or now
            if now - quiet_since > QUIET_SECONDS:
                return restarts
        else:
            quiet_since = None
            if waiting is not None and (least is None or waiting < least):
                least, moved = waiting, now
            elif now - moved > STUCK_SECONDS:
                if restarts == MOST_RESTARTS:
                    return restarts
                worker.kill()
                restarts, moved = restarts + 1, time.monotonic()
        time.sleep(0.1)


def side(stack: Stack, name: str, phase: str) -> Side:
    """One of `NAMES` on a database of its own, with an empty broker. Nothing may be running."""
    redis.Redis.from_url(stack.redis_url).flushall()
    if name == OURS:
        return Ours(stack, stack.site(f"comparison_{phase}"))
    return Baseline(stack, name == CAREFUL, phase)
