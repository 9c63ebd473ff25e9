"""Celery's entry point of job workers, `celery -A workers.celery_jobs worker`: it reads the settings on import."""

from app.adapters import clock, logs, metrics
from app.adapters.clock import now_us
from app.bootstrap import background
from app.settings import Settings
from workers.jobs import tasks

settings = Settings()
clock.follow(settings.clock_file())
app = background.celery(settings)


def build() -> tasks.Parts:
    """The parts of one worker process."""
    database = background.working(settings)
    bell = background.doorbell(settings, app, database)
    runner, _ = background.job_runner(settings, bell.ring, database)
    return runner, database, background.files(settings), bell, metrics.Metrics(), now_us


tasks.register(
    app,
    build,
    lambda: logs.configure(settings.log_level),
    background.files(settings),
    settings.job_seconds,
    settings.worker_ready_file,
)
