"""A handler of requests as an ASGI application, so that a path leads to it directly."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]

#: Where a request's scope has its Caller, once a live key was found.
CALLER: Final = "onefold.caller"

#: No stored text holds it, and PostgreSQL takes it in no parameter.
_NUL: Final = "\0"
#: What stands for a character that cannot be had.
_REPLACEMENT: Final = "\ufffd"


class Serving:
    """What Starlette makes of a function, less the handlers of exceptions of its own that it puts around each message:
    those of the application see all that is raised.

    An id in a path that has the character NUL arrives with another one in its place: it is as unknown as any.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _NUL in scope["path"]:
            members = scope["path_params"].items()
            scope["path_params"] = {name: value.replace(_NUL, _REPLACEMENT) for name, value in members}
        response = await self._handler(Request(scope, receive, send))
        await response(scope, receive, send)
