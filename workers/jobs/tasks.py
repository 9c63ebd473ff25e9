"""Celery tasks of jobs. They carry no arguments: which job is next, the database says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_process_shutdown, worker_ready
from celery.worker.control import inspect_command

from app.adapters import runtime
from app.adapters.doorbell import JOBS_TASK, PROBE, TIDY_TASK, Doorbell
from app.adapters.files import Files
from app.adapters.metrics import Metrics
from app.adapters.processes import die_with_parent
from app.store.engine import Database
from workers.jobs.run import Runner
from workers.jobs.upkeep import tidy

#: Beyond the limit of an attempt, for its end.
GRACE_SECONDS = 60.0

Parts = tuple[Runner, Database, Files, Doorbell, Metrics, Callable[[], int]]


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
        runtime.tune()

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

    @app.task(name=JOBS_TASK, time_limit=seconds + GRACE_SECONDS)  # type: ignore[untyped-decorator]
    def work() -> dict[str, object]:
        """Work on the next job. A database outage is a failure here; the sweeper rings again."""
        runner, database, files_, bell, metrics, now_us = parts()
        bell.clear_jobs()
        summary = runner.run_next()
        metrics.worked(summary.as_dict())
        tidy(database, files_, now_us)
        if summary.more:
            bell.send_jobs()
        return summary.as_dict()

    @app.task(name=TIDY_TASK, time_limit=GRACE_SECONDS)  # type: ignore[untyped-decorator]
    def remove_files() -> dict[str, object]:
        """Remove files that no job has any more."""
        _, database, files_, _, _, now_us = parts()
        return {"removed": tidy(database, files_, now_us)}
