"""The HTTP application. Checks run in one order everywhere: path, key, permission, quota, content type, size, body."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from app.accept import UNCOUNTED, Answer, Grant
from app.access import KeyRecord
from app.api.answers import refuse, respond
from app.api.bodies import receive
from app.contract.errors import ACCESS_DENIED, INTERNAL, INVALID_URL, RefusedError
from app.contract.plans import MAX_BODY_BYTES
from app.services import Services

log = structlog.get_logger()

Take = Callable[[KeyRecord], Awaitable[Grant]]
Action = Callable[[KeyRecord, Request], Awaitable[Answer]]


def create_app(services: Services) -> FastAPI:
    """The application over its services, which it closes when it stops."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await services.aclose()

    app = FastAPI(
        title="Onefold",
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    acceptor, reader = services.acceptor, services.reader

    async def body_of(request: Request) -> bytes:
        return await receive(request, MAX_BODY_BYTES, services.receive_timeout_seconds)

    async def track(caller: KeyRecord, request: Request) -> Answer:
        return await acceptor.track(caller, await body_of(request))

    async def export_ids(caller: KeyRecord, request: Request) -> Answer:
        return await reader.export_ids(caller, await body_of(request))

    async def request_status(caller: KeyRecord, request: Request) -> Answer:
        return await reader.request_status(caller, request.path_params["id"], _wait(request))

    def route(method: str, path: str, permission: str | None, take: Take, action: Action) -> None:
        # Starlette's own route: the contract reads bodies, so FastAPI's reading of parameters would be for naught.
        app.add_route(path, _endpoint(services, permission, take, action), methods=[method])

    route("POST", "/users/track", "users.track", acceptor.take_track, track)
    route("POST", "/users/export/ids", "users.export.ids", acceptor.take_default, export_ids)
    route("GET", "/v1/requests/{id}", None, acceptor.take_default, request_status)
    app.add_api_route("/livez", _livez, methods=["GET"])
    app.add_api_route("/readyz", _readyz(services), methods=["GET"])
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)
    return app


def _endpoint(
    services: Services, permission: str | None, take: Take, action: Action
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        grant: Grant | None = None
        try:
            caller = await services.keys.authenticate(request.headers.get("authorization"))
            if permission is not None and permission not in caller.permissions:
                raise RefusedError(403, ACCESS_DENIED)
            grant = await take(caller)
            return respond(await action(caller, request), grant)
        except RefusedError as refused:
            return refuse(refused, grant)

    return endpoint


def _wait(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        raise RefusedError(400, "'wait' must be a number of seconds") from None
    if not 0 <= seconds <= 3600:
        raise RefusedError(400, "'wait' must be a number of seconds")
    return seconds


async def _livez() -> Response:
    return _json(200, b'{"message":"success"}')


def _readyz(services: Services) -> Callable[[], Awaitable[Response]]:
    async def readyz() -> Response:
        problem = await services.readiness()
        if problem is None:
            return _json(200, b'{"message":"success"}')
        return refuse(RefusedError(503, problem, headers={"Retry-After": "1"}), None)

    return readyz


def _json(status: int, body: bytes) -> Response:
    return respond(Answer(status, body), UNCOUNTED)


async def _http_error(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in (404, 405):
        return refuse(RefusedError(404, INVALID_URL), None)
    return refuse(RefusedError(status, "Bad Request"), None)


async def _internal_error(request: Request, error: Exception) -> Response:
    route: Any = request.scope.get("route")
    # The message of an error may hold a value of a client; its class never does.
    log.error("internal_error", path=getattr(route, "path", ""), error=type(error).__name__)
    return refuse(RefusedError(500, INTERNAL), None)
