"""GET /sdk/onefold.js: the web SDK, as the build in sdk/web made it, for pages of any origin."""

import hashlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Final
from uuid import uuid4

from fastapi import Request, Response

from app.api.documentation import Documentation
from app.api.endpoint import Probe
from app.services.registry import Services

#: File by path: for a script tag, and for `import`.
FILES: Final = {"/sdk/onefold.js": "onefold.js", "/sdk/onefold.mjs": "onefold.mjs"}
#: A page asks again after an hour, and is told in a few bytes that nothing changed.
CACHED: Final = "public, max-age=3600"

_DOCUMENTATION: Final = Documentation(
    "The web SDK",
    "SDK data",
    "For pages, without a key. See docs/sdk.md.",
    {200: str},
    media_type="text/javascript",
    headers={"X-Integrity": "What the attribute `integrity` of a script tag has to be.", "ETag": "The same."},
)


def probes(_services: Services) -> list[Probe]:
    return [Probe(path, _served(name), _DOCUMENTATION) for path, name in FILES.items()]


def integrity(script: bytes) -> str:
    """The hash of a script by which a browser knows that it is this one (W3C Subresource Integrity)."""
    return "sha384-" + b64encode(hashlib.sha384(script).digest()).decode()


def read(name: str) -> bytes:
    return (files("app.api.sdk") / "dist" / name).read_bytes()


def _served(name: str) -> Callable[[Request], Awaitable[Response]]:
    script = read(name)
    hashed = integrity(script)
    headers = {
        "Cache-Control": CACHED,
        "ETag": f'"{hashed}"',
        "X-Integrity": hashed,
        "Access-Control-Allow-Origin": "*",  # which a script tag with `integrity` asks for
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }

    async def serve(request: Request) -> Response:
        named = headers | {"X-Request-Id": str(uuid4())}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=named)
        return Response(script, media_type="text/javascript", headers=named)

    return serve
