"""The console as routes, beside the API in one process or alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from app.console import static
from app.console.page import ROOT
from app.console.pages import FAMILIES, PAGES
from app.console.rendering import Renderer
from app.console.serving import Front
from app.console.session.log_in import LogIn
from app.services.registry import Services


class _Serving:
    """A handler as an ASGI application, without Starlette's own handlers of exceptions."""

    def __init__(self, handler: Callable[[Request], Awaitable[Response]]) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._handler(Request(scope, receive, send))
        await response(scope, receive, send)


def routes(services: Services) -> list[BaseRoute]:
    """Everything below /console; whatever else is there is a page that says so."""
    front = Front(services, Renderer(PAGES, tuple(FAMILIES)))
    log_in = LogIn(front)

    async def file(request: Request) -> Response:
        return static.serve(request, request.path_params["name"]) or await front.not_found(request)

    async def to_start(_request: Request) -> Response:
        return RedirectResponse(f"{ROOT}/", 303)

    below: list[BaseRoute] = [
        Route("/static/{name}", _Serving(file), methods=["GET"]),
        Route("/log-in", _Serving(front.guarded(log_in.show)), methods=["GET"]),
        Route("/log-in", _Serving(front.guarded(log_in.enter)), methods=["POST"]),
        *(Route(page.path, _Serving(front.page(page)), methods=[page.method]) for page in PAGES),
        Route("/{path:path}", _Serving(front.not_found)),
    ]
    return [
        Route(ROOT, _Serving(to_start), methods=["GET"]),
        Mount(ROOT, app=Router(below, redirect_slashes=False)),
    ]


def create_app(services: Services) -> Starlette:
    """The console alone. It closes its services when it stops."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, object]]:
        yield {"connections": services.connections}  # for the HTTP server
        await services.aclose()

    async def to_start(_request: Request) -> Response:
        return RedirectResponse(f"{ROOT}/", 303)

    return Starlette(routes=[*routes(services), Route("/", to_start, methods=["GET"])], lifespan=lifespan)
