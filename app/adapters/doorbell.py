"""Doorbells: "workspace 17 has work", sent through Celery. They carry no data and any of them may be lost.

A bell key in Redis says that a ring is outstanding, so that a flood of accepts is one task and not thousands. The drain
clears the key before its last look at the inbox: whoever accepts later rings again, whoever accepted earlier is seen.
The key expires by itself in case the drain dies. Everything here happens in a thread of its own, after the commit, so
that a slow or dead broker never delays an answer; the sweeper finds what was not rung.

A ring with somebody waiting for its outcome goes to a queue of its own, which workers look at first.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import redis
from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.utils.scheduling import round_robin_cycle
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from app import sentinels

TIMEOUT_SECONDS: Final = 1.0
#: Longer than a ring waits its turn on a busy worker: with a shorter one a flood is a growing number of tasks.
OUTSTANDING_MS: Final = 10_000
PAUSE_AFTER_FAILURE_SECONDS: Final = 0.5
TASK: Final = "onefold.apply"
#: The same for the workspace of the canary. Flower is not told of it: it would be most of what is seen on a quiet day.
CANARY_TASK: Final = "onefold.canary"
#: Jobs: "there is one", and "remove files that are over", for a worker of their own.
JOBS_TASK: Final = "onefold.job"
TIDY_TASK: Final = "onefold.tidy_files"
JOBS: Final = "jobs"
#: Whether a file is in the directory of a job worker.
PROBE: Final = "onefold_sees"
#: A message about jobs that nobody took for so long is worth nothing: it is sent again while there is something to do.
JOBS_EXPIRE_SECONDS: Final = 30.0
#: Queue of each stream, and of rings with somebody waiting.
QUEUES: Final = ("normal", "bulk")
WAITED_FOR: Final = "sync"


def queues() -> list[Queue]:
    """All of them, as a worker would declare them by their names."""
    names = (WAITED_FOR, *QUEUES, JOBS)
    return [Queue(name, Exchange(name), routing_key=name) for name in names]


class WaitedForFirst(round_robin_cycle):
    """The order in which a worker looks at its queues on Redis: first where somebody waits, then the others in turn."""

    def consume(self, n: int) -> list[str]:
        queues: list[str] = super().consume(n)  # type: ignore[no-untyped-call]
        return sorted(queues, key=lambda queue: queue != WAITED_FOR)


def client(url: str) -> redis.Redis:
    """A Redis client that gives up fast and replays nothing."""
    options: dict[str, Any] = {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
    found = sentinels.parse(url)
    if found is None:
        return redis.Redis.from_url(url, **options)
    asked: Any = Sentinel(found.hosts, sentinel_kwargs=found.asking(options))  # type: ignore[no-untyped-call]
    primary: redis.Redis = asked.master_for(found.group, **found.server_options, **options)
    return primary


def bell_key(prefix: str, workspace_id: int, queue: str) -> str:
    """Key inventory: `<prefix>bell:<workspace>:<queue>` = "1" with a time to live, while a ring is outstanding.

    One for each queue, so that a ring which waits its turn behind others holds back none that need not wait.
    """
    return f"{prefix}bell:{workspace_id}:{queue}"


Names = Callable[[int], str | None]
"""The name of a workspace, "" = it is not known; None = it is that of the canary. Never raises."""


def shown(name: str | None, workspace_id: int) -> str:
    """How Flower shows a workspace."""
    return f"{name} ({workspace_id})" if name else str(workspace_id)


class Doorbell:
    """Rings from a thread. `rung`, `suppressed` and `failed` count workspaces."""

    def __init__(self, celery: Celery, redis_url: str, prefix: str, names: Names = lambda _workspace_id: "") -> None:
        self._celery = celery
        self._names = names
        self._redis = client(redis_url)
        #: To the broker, for questions about jobs.
        self._asking: Connection | None = None
        self._prefix = prefix
        #: {(workspace, queue): whether its bell key is taken already, for this ring}
        self._waiting: dict[tuple[int, str], bool] = {}
        self._condition = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.rung = 0
        self.suppressed = 0
        self.failed = 0

    def ring(self, stream: tuple[int, int]) -> None:
        """Tell the workers that a stream (workspace, stream number) has work. Returns at once and never raises."""
        workspace_id, number = stream
        self._ring(workspace_id, QUEUES[number])

    def ring_first(self, stream: tuple[int, int]) -> None:
        """As `ring`, for whoever has found the stream's bell key free, and taken it."""
        workspace_id, number = stream
        self._ring(workspace_id, QUEUES[number], is_first=True)

    def key(self, stream: tuple[int, int]) -> str:
        """The bell key of a stream."""
        workspace_id, number = stream
        return bell_key(self._prefix, workspace_id, QUEUES[number])

    def ring_waiting(self, workspace_id: int) -> None:
        """As `ring`, for somebody who waits until the workspace is applied: ahead of all who do not."""
        self._ring(workspace_id, WAITED_FOR)

    def ring_jobs(self) -> None:
        """Tell the job workers that a job is queued. Returns at once and never raises."""
        self._ring(0, JOBS)

    def _ring(self, workspace_id: int, queue: str, *, is_first: bool = False) -> None:
        with self._condition:
            if self._closed:
                return
            self._waiting[workspace_id, queue] = is_first or self._waiting.get((workspace_id, queue), False)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
                self._thread.start()
            self._condition.notify()

    def clear(self, workspace_id: int) -> None:
        """Let the next accept ring again. Never raises: the key expires by itself."""
        try:
            self._redis.delete(*(bell_key(self._prefix, workspace_id, queue) for queue in (*QUEUES, WAITED_FOR)))
        except RedisError:
            self.failed += 1

    def send(self, workspace_id: int, queue: str = QUEUES[0]) -> bool:
        """Ring at once, whether or not a ring is outstanding. False when the broker is away."""
        if queue == JOBS:
            return self.send_jobs()
        name = self._names(workspace_id)
        task = CANARY_TASK if name is None else TASK
        return self._send(task, [workspace_id], queue, argsrepr=shown(name, workspace_id))

    def _send(
        self, task: str, args: list[int], queue: str, expires: float | None = None, argsrepr: str | None = None
    ) -> bool:
        """`argsrepr`: what Flower shows instead of the arguments; beside it, the queue."""
        try:
            self._celery.send_task(
                task,
                args=args,
                queue=queue,
                retry=False,
                ignore_result=True,
                expires=expires,
                argsrepr=argsrepr,
                kwargsrepr=queue,
            )
        except (KombuError, RedisError, OSError):
            self.failed += 1
            return False
        self.rung += 1
        return True

    def clear_jobs(self) -> None:
        """Let the next job ring again. Never raises."""
        self._take_back([bell_key(self._prefix, 0, JOBS)])

    def send_jobs(self) -> bool:
        """Ring for jobs at once. False when the broker is away."""
        return self._send(JOBS_TASK, [], JOBS, JOBS_EXPIRE_SECONDS)

    def has_jobs_sent(self) -> bool:
        """Whether a message about jobs waits for a worker: without one, further ones would only pile up.

        One thread may ask. Its connection stays: each new one leaves 80 KB in cycles behind, which nobody looks for in
        hours.
        """
        asking, self._asking = self._asking or self._celery.connection_for_write(), None
        try:
            # As a worker declares it: without one, nobody may have made the queue yet.
            declared = asking.default_channel.queue_declare(JOBS, durable=True, auto_delete=False)
        except (KombuError, RedisError, OSError, *asking.connection_errors, *asking.channel_errors):
            asking.release()
            return True
        self._asking = asking
        return bool(declared.message_count)

    def send_tidy(self) -> bool:
        """Have files removed that are over. False when the broker is away."""
        return self._send(TIDY_TASK, [], JOBS, JOBS_EXPIRE_SECONDS)

    def send_on(self, workspace_id: int, queue: str) -> None:
        """At the end of a drain that a ring of `queue` began: more is to do, behind what others have waiting.

        One ring takes the place of one: a workspace that always has work has one task waiting, however often others
        have rung for it. Never raises: the sweeper finds the work as well.
        """
        key = bell_key(self._prefix, workspace_id, QUEUES[0])
        try:
            free = self._redis.set(key, "1", nx=queue != QUEUES[0], px=OUTSTANDING_MS)
        except RedisError:
            free = True
        if free and not self.send(workspace_id):
            self._take_back([key])

    def close(self) -> None:
        """Ring what is waiting, then stop the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(timeout=2 * TIMEOUT_SECONDS)
        if self._asking is not None:
            self._asking.release()

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._waiting and not self._closed:
                    self._condition.wait()
                if not self._waiting:
                    return
                waiting, self._waiting = self._waiting, {}
            if not self._ring_all(waiting) and not self._closed:
                time.sleep(PAUSE_AFTER_FAILURE_SECONDS)

    def _ring_all(self, waiting: dict[tuple[int, str], bool]) -> bool:
        asking = [place for place, is_first in waiting.items() if not is_first]
        rings = [place for place, is_first in waiting.items() if is_first]
        try:
            if asking:
                with self._redis.pipeline(transaction=False) as pipeline:
                    for workspace_id, queue in asking:
                        pipeline.set(bell_key(self._prefix, workspace_id, queue), "1", nx=True, px=OUTSTANDING_MS)
                    free = pipeline.execute()
                rings += [place for place, first in zip(asking, free, strict=True) if first]
        except (RedisError, OSError):
            self.failed += len(waiting)
            self._take_back([bell_key(self._prefix, *place) for place in rings])
            return False
        self.suppressed += len(waiting) - len(rings)
        for n, (workspace_id, queue) in enumerate(rings):
            if not self.send(workspace_id, queue):
                self._take_back([bell_key(self._prefix, *place) for place in rings[n:]])
                return False
        return True

    def _take_back(self, keys: list[str]) -> None:
        """These were not rung: take their keys back, so that the next accept rings."""
        if keys:
            with suppress(RedisError, OSError):
                self._redis.delete(*keys)
