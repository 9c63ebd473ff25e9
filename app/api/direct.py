"""The way of a call to its endpoint, where the path alone says which that is.

FastAPI puts six layers around a router, which looks at one route after another, and opens two stacks for what endpoints
of its own kind need. All that takes longer than finding out who calls. Calls of fixed paths are most of all calls.
"""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI, Request, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.serving import Serving

Failing = Callable[[Request, Exception], Awaitable[Response]]
"""Answers a call whose handler raised what nobody expected."""


class Application(FastAPI):
    """An application whose calls of fixed paths are served directly, where no middleware was added to it."""

    failing: Failing

    def build_middleware_stack(self) -> ASGIApp:
        whole = super().build_middleware_stack()
        return whole if self.user_middleware else Direct(whole, self.router.routes, self.failing)


class Direct:
    """Leads calls of fixed paths to their endpoints, and all others to the application."""

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], failing: Failing) -> None:
        """`routes` of the application, of which it takes those whose calls are served by `Serving`."""
        self._app = app
        self._failing = failing
        self._routes = {
            (method, route.path): route
            for route in reversed(routes)  # a router takes the first
            if isinstance(route, Route) and isinstance(route.app, Serving) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = None
        if scope["type"] == "http" and not scope.get("root_path"):
            route = self._routes.get((scope["method"], scope["path"]))
        if route is None:
            await self._app(scope, receive, send)
            return
        is_answering = False

        async def sent(message: Message) -> None:
            nonlocal is_answering
            is_answering = True
            await send(message)

        scope["path_params"] = {}
        scope["route"] = route
        try:
            await route.app(scope, receive, sent)
        except Exception as error:
            response = await self._failing(Request(scope), error)
            if not is_answering:
                await response(scope, receive, send)
            raise  # for the log of the server
