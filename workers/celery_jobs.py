"""Celery's entry point of job workers, `celery -A workers.celery_jobs worker`: it reads the settings on import."""

from app import bootstrap
from app.adapters import logs, metrics
from app.settings import Settings
from workers.jobs import tasks

settings = Settings()
app = bootstrap.celery(settings)


def build() -> tasks.Parts:
    """The parts of one worker process."""
    bell = bootstrap.doorbell(settings, app)
    runner, database = bootstrap.job_runner(settings, bell.ring)
    return runner, database, bootstrap.files(settings), bell, metrics.Metrics(), bootstrap.now_us


tasks.register(
    app,
    build,
    lambda: logs.configure(settings.log_level),
    bootstrap.files(settings),
    settings.job_seconds,
    settings.worker_ready_file,
)
