"""Files that browsers keep: the style, the scripts, and the libraries with their licences (see README.md)."""

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

TYPES: Final = {
    "console.css": "text/css",
    "console.js": "text/javascript",
    "parts.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "htmx-2.0.11.min.js": "text/javascript",
    "uplot-1.6.32.min.js": "text/javascript",
    "uplot-1.6.32.min.css": "text/css",
}
#: The address of a file changes with what it holds, so no browser asks for it again.
_KEPT: Final = "public, max-age=31536000, immutable"
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes
    version: str


@cache
def _file(name: str) -> _File:
    content = (files(__package__) / name).read_bytes()
    return _File(content, gzip.compress(content, 9, mtime=0), hashlib.sha256(content).hexdigest()[:16])


def address(name: str) -> str:
    """Where a browser finds a file."""
    return f"/console/static/{name}?v={_file(name).version}"


def serve(request: Request, name: str) -> Response | None:
    """None where there is no such file."""
    if name not in TYPES:
        return None
    found = _file(name)
    tag = f'"{found.version}"'
    is_current = request.query_params.get("v") == found.version
    headers = _HEADERS | {"ETag": tag, "Vary": "Accept-Encoding", "Cache-Control": _KEPT if is_current else "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=TYPES[name])
    return Response(found.content, headers=headers, media_type=TYPES[name])
