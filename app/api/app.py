"""The HTTP application: puts the families of endpoints together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app.api import docs, health, metrics, openapi
from app.api.alerts import endpoints as alerts
from app.api.answers import refuse
from app.api.apps import endpoints as apps
from app.api.catalogue import endpoints as catalogue
from app.api.data_rules import endpoints as data_rules
from app.api.dead_letters import endpoints as dead_letters
from app.api.demo import endpoints as demo
from app.api.direct import Application
from app.api.endpoint import SDK_KEY, WRITE_KEY, serve
from app.api.exports import endpoints as exports
from app.api.file_exports import endpoints as file_exports
from app.api.flags import endpoints as flags
from app.api.identity import endpoints as identity
from app.api.imports import endpoints as imports
from app.api.jobs import endpoints as jobs
from app.api.limits import endpoints as limits
from app.api.merge_runs import endpoints as merge_runs
from app.api.merges import endpoints as merges
from app.api.messages import endpoints as messages
from app.api.people import endpoints as people
from app.api.rates import endpoints as rates
from app.api.request_log import endpoints as request_log
from app.api.requests import endpoints as requests
from app.api.sdk import endpoints as sdk
from app.api.sdk import script
from app.api.segment_deletions import endpoints as segment_deletions
from app.api.segments import endpoints as segments
from app.api.series import endpoints as series
from app.api.serving import Serving
from app.api.spam_blocks import endpoints as spam_blocks
from app.api.subscriptions import endpoints as subscriptions
from app.api.subscriptions import groups as subscription_groups
from app.api.testing import endpoints as testing
from app.api.track import endpoints as track
from app.api.tracking import endpoints as tracking
from app.api.webhooks import endpoints as webhooks
from app.api.workspaces import endpoints as workspaces
from app.contract.errors import INTERNAL, INVALID_URL, RefusedError
from app.services.registry import Services

log = structlog.get_logger()

#: Every family of endpoints: a function that gives the endpoints over the services.
FAMILIES = (
    track.endpoints,
    exports.endpoints,
    file_exports.endpoints,
    requests.endpoints,
    request_log.endpoints,
    identity.endpoints,
    merges.endpoints,
    merge_runs.endpoints,
    dead_letters.endpoints,
    limits.endpoints,
    data_rules.endpoints,
    catalogue.endpoints,
    series.endpoints,
    rates.endpoints,
    jobs.endpoints,
    flags.endpoints,
    imports.endpoints,
    people.endpoints,
    subscription_groups.endpoints,
    apps.endpoints,
    sdk.endpoints,
    tracking.endpoints,
    subscriptions.endpoints,
    messages.endpoints,
    segments.endpoints,
    segment_deletions.endpoints,
    spam_blocks.endpoints,
    workspaces.endpoints,
    alerts.endpoints,
    testing.endpoints,
    webhooks.endpoints,
)


#: What is asked for thousands of times a second. It is found first: routes are looked at one after another.
OFTEN = frozenset(("/users/track", sdk.PATH, *tracking.BATCH))
#: How those endpoints are served that ask for no REST API key.
SERVED = {SDK_KEY: sdk.serve, WRITE_KEY: tracking.serve}
#: The paths without a key, likewise.
PROBES = (health.probes, jobs.probes, script.probes)


def create_app(services: Services) -> FastAPI:
    """The application over its services, which it closes when it stops."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, object]]:
        yield {"connections": services.connections}  # for app.api.protocol
        await services.aclose()

    app = Application(
        title="Onefold",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # FastAPI's own, which would look for providers of OpenTelemetry at each request. Ours are at /metrics.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    endpoints = [endpoint for family in FAMILIES for endpoint in family(services)]
    probes = [probe for family in PROBES for probe in family(services)]
    # Starlette's own routes: the contract reads bodies, so FastAPI's reading of parameters would be for naught.
    for endpoint in sorted(endpoints, key=lambda one: one.path not in OFTEN):
        handling = SERVED.get(endpoint.permission or "", serve)
        handler = metrics.counted(services, endpoint.method, endpoint.path, handling(services, endpoint))
        app.router.routes.append(Route(endpoint.path, Serving(handler), methods=[endpoint.method]))
    for probe in probes:
        app.router.routes.append(Route(probe.path, Serving(probe.handler), methods=["GET"]))

    @cache
    def document() -> dict[str, Any]:  # made when somebody asks: it takes as long as all the rest of the application
        return openapi.document(endpoints, probes)

    app.openapi = document  # type: ignore[method-assign] # FastAPI's way to have another document than its own
    if services.docs:
        docs.add(app, document())
    if services.demo_sdk_key:
        demo.add(app, services, services.demo_sdk_key)
    if services.metrics_token:
        metrics.add(app, services, services.metrics_token)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    app.failing = _internal_error
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    if (found := sdk.preflight(request) or tracking.preflight(request)) is not None:
        return found
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in (404, 405):
        return refuse(RefusedError(404, INVALID_URL), None)
    return refuse(RefusedError(status, "Bad Request"), None)


async def _internal_error(request: Request, error: Exception) -> Response:
    route: Any = request.scope.get("route")
    # The message of an error may hold a value of a client; its class never does.
    log.error("internal_error", path=getattr(route, "path", ""), error=type(error).__name__)
    return refuse(RefusedError(500, INTERNAL), None)
