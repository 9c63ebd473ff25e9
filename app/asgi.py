"""ASGI entry points: `uvicorn --factory app.asgi:create` is the API, `app.asgi:create_console` the console alone."""

from fastapi import FastAPI
from starlette.applications import Starlette

from app.adapters import clock, logs, runtime
from app.adapters.tracing import API
from app.api.app import create_app
from app.api.tracing import TracedCalls
from app.bootstrap import background, serving
from app.console import app as console
from app.settings import Settings


def create() -> FastAPI:
    """The API with the settings of the environment, and the console where they say so."""
    settings = _prepared()
    services = serving.services(settings)
    app = create_app(services)
    if settings.console:
        app.router.routes.extend(console.routes(services))
    if (traces := background.traces(settings, API)) is not None:
        app.add_middleware(TracedCalls, traces=traces, routes=app.router.routes)
    runtime.tune()
    return app


def create_console() -> Starlette:
    """The console with the settings of the environment. It watches over nothing: the API beside it does."""
    settings = _prepared()
    app = console.create_app(serving.services(settings.model_copy(update={"canary_seconds": 0.0})))
    runtime.tune()
    return app


def _prepared() -> Settings:
    settings = Settings()
    logs.configure(settings.log_level)
    clock.follow(settings.clock_file())
    runtime.give_memory_back()
    runtime.raise_descriptors()
    return settings
