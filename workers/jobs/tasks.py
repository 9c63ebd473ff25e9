"""Celery tasks of jobs. They carry no arguments: which job is next, the database says."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown, worker_ready
from celery.worker.control import inspect_command
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from app.adapters import runtime
from app.adapters.doorbell import JOBS_TASK, PROBE, TIDY_TASK, Doorbell, shown
from app.adapters.files import Files
from app.adapters.metrics import Metrics
from app.adapters.processes import die_with_parent
from app.store.engine import Database
from app.store.jobs import Job
from app.store.workspace_names import WorkspaceNames
from workers.jobs.run import Runner
from workers.jobs.upkeep import tidy

#: Beyond the limit of an attempt, for its end.
GRACE_SECONDS = 60.0

Parts = tuple[Runner, Database, Files, Doorbell, Metrics, Callable[[], int]]


def tell(task: Task, fields: Mapping[str, object]) -> None:
    """Tell Flower more of a task that runs. Nobody waits for it while the broker is away."""
    with suppress(KombuError, RedisError, OSError):
        task.send_event("task-started", retry=False, **fields)


def register(
    app: Celery,
    build: Callable[[], Parts],
    configure_logs: Callable[[], None],
    files: Files,
    seconds: float,
    ready_file: str = "",
) -> None:
    """Declare the tasks. `build` makes the parts of a worker process on its first task. An attempt at a job takes at
    most `seconds`.

    `ready_file`, unless it is empty, is made once the worker listens.
    """
    built: list[Parts] = []

    def parts() -> Parts:
        if not built:
            built.append(build())
        return built[0]

    def started(**_: Any) -> None:
        die_with_parent()
        built.clear()
        runtime.tune(young=200_000)

    def ended(**_: Any) -> None:
        built.clear()

    def logs(**_: Any) -> None:
        configure_logs()

    def listening(**_: Any) -> None:
        if ready_file:
            Path(ready_file).touch()

    worker_ready.connect(listening, weak=False)
    worker_process_init.connect(started, weak=False)
    worker_process_shutdown.connect(ended, weak=False)
    setup_logging.connect(logs, weak=False)

    @inspect_command(name=PROBE, args=[("name", str)])  # type: ignore[untyped-decorator]
    def sees(_state: object, name: str = "") -> dict[str, bool]:
        """Whether the file is in this worker's directory: `onefold doctor` asks."""
        return {"sees": files.sees(name)}

    @app.task(name=JOBS_TASK, time_limit=seconds + GRACE_SECONDS, bind=True)  # type: ignore[untyped-decorator]
    def work(task: Task) -> str:
        """Work on the next job; what was done, in words. A database outage is a failure here; the sweeper rings
        again."""
        runner, database, files_, bell, metrics, now_us = parts()
        bell.clear_jobs()
        names = WorkspaceNames(database)
        told: list[dict[str, object]] = []

        def begun(job: Job) -> None:
            """Only now it is known which job it is: Flower hears its name, whose it is, and its id."""
            name = f"{JOBS_TASK}.{job.kind}"
            whose = shown(names(job.workspace_id), job.workspace_id)
            told.append({"name": name, "args": whose, "kwargs": job.id, "timestamp": time.time()})
            tell(task, told[0])

        summary = runner.run_next(begun)
        if told:  # what the worker itself tells of the beginning may have come later, with the name of every job
            tell(task, told[0])
        metrics.worked(summary.as_dict())
        tidy(database, files_, now_us)
        if summary.more:
            bell.send_jobs()
        return summary.told()

    @app.task(name=TIDY_TASK, time_limit=GRACE_SECONDS)  # type: ignore[untyped-decorator]
    def remove_files() -> dict[str, object]:
        """Remove files that no job has any more."""
        _, database, files_, _, _, now_us = parts()
        return {"removed": tidy(database, files_, now_us)}
