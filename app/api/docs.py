"""The OpenAPI document and a page to read it on, for whoever may reach the API. Nothing is fetched from elsewhere."""

from importlib.resources import files
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from app.api.answers import Answer, respond

DOCUMENT_PATH: Final = "/openapi.json"
PAGE_PATH: Final = "/docs"
# Swagger UI comes with the package fastapi-offline.
_FILES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
PATHS: Final = (DOCUMENT_PATH, PAGE_PATH, *(f"{PAGE_PATH}/{name}" for name in _FILES))


def add(app: FastAPI, document: dict[str, Any]) -> None:
    """Serve the document and its page."""
    encoded = msgspec.json.encode(document)
    static = files("fastapi_offline") / "static"

    async def openapi(_request: Request) -> Response:
        return respond(Answer(200, encoded), None)

    async def page(_request: Request) -> Response:
        return get_swagger_ui_html(
            openapi_url=DOCUMENT_PATH,
            title="Onefold",
            swagger_js_url=f"{PAGE_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{PAGE_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{PAGE_PATH}/favicon.png",
        )

    async def asset(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        return Response((static / name).read_bytes(), media_type=_FILES[name])

    app.add_route(DOCUMENT_PATH, openapi, methods=["GET"])
    app.add_route(PAGE_PATH, page, methods=["GET"])
    for name in _FILES:
        app.add_route(f"{PAGE_PATH}/{name}", asset, methods=["GET"])
