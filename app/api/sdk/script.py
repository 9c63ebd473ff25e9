"""GET /sdk/onefold.js: the web SDK and its types, as the build in sdk/web made them, for pages of any origin."""

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

#: File by path: for a script tag, for `import`, and for TypeScript.
FILES: Final = {f"/sdk/{name}": name for name in ("onefold.js", "onefold.mjs", "onefold.d.ts")}
_TYPES: Final = {"onefold.d.ts": "text/plain"}
#: A page asks again after an hour, and is told in a few bytes that nothing changed.
CACHED: Final = "public, max-age=3600"

_HEADERS: Final = {"X-Integrity": "What the attribute `integrity` of a script tag has to be.", "ETag": "The same."}


def probes(_services: Services) -> list[Probe]:
    return [Probe(path, _served(name), _told(name)) for path, name in FILES.items()]


def _told(name: str) -> Documentation:
    return Documentation(
        "Types of the web SDK" if name in _TYPES else "The web SDK",
        "SDK data",
        "For pages, without a key. See docs/sdk.md.",
        {200: str},
        media_type=_TYPES.get(name, "text/javascript"),
        headers=_HEADERS,
    )


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
        return Response(script, media_type=_TYPES.get(name, "text/javascript"), headers=named)

    return serve
