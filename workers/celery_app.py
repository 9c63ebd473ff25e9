"""Celery's entry point, `celery -A workers.celery_app worker`: the one module that reads the settings on import."""

from app import bootstrap
from app.adapters import logs
from app.adapters.metrics import Metrics
from app.settings import Settings
from workers import tasks

settings = Settings()
app = bootstrap.celery(settings)


def build() -> tasks.Parts:
    """The parts of one worker process."""
    bell = bootstrap.doorbell(settings, app)
    return bootstrap.applier(settings, bell), bell, Metrics()


tasks.register(app, build, lambda: logs.configure(settings.log_level), settings.worker_ready_file)
