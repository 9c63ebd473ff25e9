"""`onefold sweeper`: what happens without being asked for. The other commands do not need its parts."""

import os
import signal
import threading

from app.adapters import clock, logs, metrics, runtime
from app.adapters.clock import now_us
from app.adapters.processes import die_with_parent
from app.bootstrap import background
from app.cli.context import DEFAULT_DATA_DIR, DataDir, settings_for
from app.store.engine import Database
from workers import periodic


def sweeper(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Run the sweeper alone. `onefold up` and `onefold worker` start it by themselves."""
    die_with_parent()
    settings = settings_for(data_dir)
    logs.configure(settings.log_level)
    clock.follow(settings.clock_file())
    database = Database(
        settings.worker_database(),
        pool_size=5,
        timeout_seconds=settings.database_timeout_seconds,
        log_bytes=settings.log_bytes(),
    )
    bell = background.doorbell(settings, background.celery(settings, producer=True), database)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    runtime.tune()
    counts = metrics.Metrics()
    if settings.metrics_port and os.environ.get(metrics.DIRECTORY):
        metrics.serve(settings.metrics_host, settings.metrics_port)
    parts = periodic.Parts(
        settings,
        database,
        background.applier(settings, bell),
        bell,
        counts,
        now_us,
        background.http_out(settings),
        background.mailer(settings),
    )
    periodic.run({name: make(parts) for name, make in periodic.PERIODIC.items()}, stop)
