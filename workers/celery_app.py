"""Celery's entry point, `celery -A workers.celery_app worker`: the one module that reads the settings on import."""

from app.adapters import clock, logs
from app.adapters.metrics import Metrics
from app.adapters.tracing import WORKER
from app.bootstrap import background
from app.settings import Settings
from workers import tasks

settings = Settings()
clock.follow(settings.clock_file())
app = background.celery(settings)


def build() -> tasks.Parts:
    """The parts of one worker process."""
    database = background.applying(settings)
    bell = background.doorbell(settings, app, database)
    return background.applier(settings, bell, database), bell, Metrics()


tasks.register(
    app,
    build,
    lambda: logs.configure(settings.log_level),
    settings.worker_ready_file,
    lambda: background.traces(settings, WORKER),
)
