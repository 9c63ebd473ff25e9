"""A span for each call, where traces are asked for: an ASGI application around ours."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.adapters.tracing import Traces


class TracedCalls:
    """Calls of the inner application, each in a span of its own, which belongs to the trace of a `traceparent`."""

    def __init__(self, app: ASGIApp, traces: Traces, routes: Sequence[BaseRoute]) -> None:
        """`routes` of the application name its calls: a path that was sent may hold an id of somebody."""
        self._app = app
        self._routes = routes
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        with self._traces.answering(scope["method"], headers) as told:
            try:
                await self._app(scope, receive, sent)
            finally:
                told(self._path_of(scope), status)

    def _path_of(self, scope: Scope) -> str:
        """`/v1/requests/{id}`; empty for what is not served."""
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return str(getattr(route, "path", ""))
        return ""
