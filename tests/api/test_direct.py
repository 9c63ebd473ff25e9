"""Calls of fixed paths, which are served past the router: nobody can tell."""

import asyncio
from typing import Any

from fastapi import Request, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Message, Scope

from app.api.direct import Direct
from app.api.serving import Serving
from tests.api.harness import Service


def scope_of(method: str, path: str, root_path: str = "") -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": root_path,
        "headers": [],
        "query_string": b"",
        "http_version": "1.1",
    }


def first(routes: list[BaseRoute], method: str, path: str) -> BaseRoute | None:
    """What a router would take."""
    scope = scope_of(method, path)
    return next((route for route in routes if route.matches(scope)[0] is Match.FULL), None)


def test_a_path_leads_to_what_a_router_would_take(service: Service) -> None:
    routes = service.app.router.routes
    direct = service.app.build_middleware_stack()
    assert isinstance(direct, Direct)
    taken = {place: first(routes, *place) for place in direct._routes}
    assert direct._routes == taken
    fixed = [route for route in routes if isinstance(route, Route) and "{" not in route.path]
    assert {(method, route.path) for route in fixed for method in route.methods or ()} == set(taken)
    assert ("POST", "/users/track") in taken


def test_all_else_is_the_applications(service: Service) -> None:
    """Members in the path, other methods, unknown paths, and what is mounted below a path of its own."""
    seen: list[tuple[str, str]] = []

    async def whole(scope: Scope, _receive: Any, _send: Any) -> None:
        seen.append((scope["method"], scope["path"]))

    async def never(_request: Request, _error: Exception) -> Response:
        raise AssertionError

    direct = Direct(whole, service.app.router.routes, never)
    calls = [("PUT", "/users/track"), ("GET", "/v1/requests/1"), ("POST", "/users/track/"), ("POST", "/nowhere")]

    async def scenario() -> None:
        for method, path in calls:
            await direct(scope_of(method, path), None, None)  # type: ignore[arg-type]
        await direct(scope_of("POST", "/users/track", "/below"), None, None)  # type: ignore[arg-type]
        await direct({"type": "lifespan", "method": "-", "path": "-"}, None, None)  # type: ignore[arg-type]

    asyncio.run(scenario())
    assert seen == [*calls, ("POST", "/users/track"), ("-", "-")]


def test_what_nobody_expected_is_answered_once_and_raised() -> None:
    class UnexpectedError(Exception):
        pass

    async def fails(_request: Request) -> Response:
        raise UnexpectedError

    class Late(Response):
        async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            raise UnexpectedError

    async def fails_late(_request: Request) -> Response:
        return Late(status_code=201)

    async def failing(request: Request, error: Exception) -> Response:
        assert isinstance(error, UnexpectedError)
        return Response(request.scope["route"].path, 500)

    async def none(_scope: Scope, _receive: Any, _send: Any) -> None:
        raise AssertionError

    routes = [
        Route("/early", Serving(fails), methods=["POST"]),
        Route("/late", Serving(fails_late), methods=["POST"]),
        Route("/early", Serving(fails_late), methods=["POST"]),  # a router takes the first
    ]
    direct = Direct(none, routes, failing)

    async def scenario(path: str) -> list[Any]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        try:
            await direct(scope_of("POST", path), None, send)  # type: ignore[arg-type]
        except UnexpectedError:
            return [message.get("status", message.get("body")) for message in sent]
        raise AssertionError

    assert asyncio.run(scenario("/early")) == [500, b"/early"]
    assert asyncio.run(scenario("/late")) == [201, b""]
