"""ASGI entry point: `uvicorn --factory app.asgi:create`."""

from fastapi import FastAPI

from app.adapters import logs, runtime
from app.api.app import create_app
from app.bootstrap import serving
from app.settings import Settings


def create() -> FastAPI:
    """The application with the settings of the environment."""
    settings = Settings()
    logs.configure(settings.log_level)
    runtime.give_memory_back()
    runtime.raise_descriptors()
    app = create_app(serving.services(settings))
    runtime.tune(young=20_000)
    return app
