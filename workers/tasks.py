"""Celery tasks. Arguments are numbers of workspaces, never data of a client; results are counts, shown in Flower."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from billiard.exceptions import WorkerLostError
from celery import Celery, Task
from celery.signals import setup_logging, task_failure, worker_process_init, worker_process_shutdown, worker_ready
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from app.adapters import runtime
from app.adapters.doorbell import CANARY_TASK, QUEUES, TASK, Doorbell
from app.adapters.metrics import Metrics
from app.adapters.processes import die_with_parent
from app.adapters.tracing import Traces
from workers.apply import MOST_SECONDS, YIELD_SECONDS, Applier

log = structlog.get_logger()

#: A drain yields after half a second, and a transaction ends within a second or so. What takes longer than this is
#: stuck, and is rolled back.
TIME_LIMIT_SECONDS = 600


Parts = tuple[Applier, Doorbell, Metrics]


class Process:
    """What one worker process keeps between tasks. Built after the fork: connections must not cross it."""

    def __init__(self, build: Callable[[], Parts]) -> None:
        self._build = build
        self._built: Parts | None = None

    def parts(self) -> Parts:
        if self._built is None:
            self._built = self._build()
        return self._built

    def forget(self, **_: Any) -> None:
        self._built = None


def register(
    app: Celery,
    build: Callable[[], Parts],
    configure_logs: Callable[[], None],
    ready_file: str = "",
    begin: Callable[[], Traces | None] = lambda: None,
) -> None:
    """Declare the tasks. `build` makes the parts of a worker process on its first task, `begin` its traces before that.

    `ready_file`, unless it is empty, is made once the worker listens.
    """
    process = Process(build)

    def started(**_: Any) -> None:
        die_with_parent()
        process.forget()
        runtime.tune(young=1_000_000)
        runtime.take_turns()
        if (traces := begin()) is not None:
            worker_process_shutdown.connect(lambda **_: traces.close(), weak=False)

    def logs(**_: Any) -> None:
        configure_logs()

    def listening(**_: Any) -> None:
        if ready_file:
            Path(ready_file).touch()

    def lost(args: tuple[Any, ...], exception: BaseException, sender: Task | None = None, **_: Any) -> None:
        """A process died in a drain, and its doorbell with it. The next one should not have to wait for the sweeper."""
        if isinstance(exception, WorkerLostError):
            with suppress(KombuError, RedisError, OSError):  # the sweeper finds the work as well
                name = TASK if sender is None else sender.name
                app.send_task(name, args=args, queue=QUEUES[0], retry=False, ignore_result=True)

    task_failure.connect(lost, weak=False)
    worker_ready.connect(listening, weak=False)
    worker_process_init.connect(started, weak=False)
    worker_process_shutdown.connect(process.forget, weak=False)
    setup_logging.connect(logs, weak=False)

    def apply(task: Task, workspace_id: int) -> str:
        """Apply what is queued for a workspace; what was done, in words. A database outage is a failure here; the
        sweeper rings again."""
        if not isinstance(workspace_id, int):
            raise TypeError("a doorbell carries the number of a workspace")
        applier, bell, metrics = process.parts()
        try:
            summary = applier.drain(workspace_id, YIELD_SECONDS, MOST_SECONDS)
        except BaseException:
            metrics.drain_failed()
            raise
        metrics.drained(summary.as_dict())
        if summary.behind:
            bell.send_on(workspace_id, (task.request.delivery_info or {}).get("routing_key", QUEUES[0]))
        return summary.told()

    app.task(apply, name=TASK, time_limit=TIME_LIMIT_SECONDS, bind=True)
    app.task(apply, name=CANARY_TASK, time_limit=TIME_LIMIT_SECONDS, bind=True, send_events=False)
