"""GET /metrics for Prometheus, with a token of its own; and the counting of answers."""

import asyncio
import time
from hmac import compare_digest
from typing import Final

from fastapi import FastAPI, Request, Response

from app.adapters.metrics import CONTENT_TYPE
from app.api.answers import refuse
from app.api.serving import CALLER, Handler
from app.contract.errors import INVALID_KEY, RefusedError
from app.services.registry import Services

PATH: Final = "/metrics"


def counted(services: Services, method: str, path: str, handler: Handler) -> Handler:
    """The handler, with its answers counted under the path of the endpoint, and as the usage of its key."""
    count, used = services.metrics.answered(path), services.usage_counter.count
    name = f"{method} {path}"

    async def handle(request: Request) -> Response:
        began = time.perf_counter()
        try:
            response = await handler(request)
        except Exception:  # the application answers it with 500
            count(500, time.perf_counter() - began)
            used(request.scope.get(CALLER), name, 500)
            raise
        count(response.status_code, time.perf_counter() - began)
        used(request.scope.get(CALLER), name, response.status_code)
        return response

    return handle


def add(app: FastAPI, services: Services, token: str) -> None:
    """Serve the metrics to who has the token."""

    async def metrics(request: Request) -> Response:
        sent = request.headers.get("authorization", "").encode("latin-1")
        if not compare_digest(sent, f"Bearer {token}".encode()):
            return refuse(RefusedError(401, INVALID_KEY), None)
        body = await asyncio.to_thread(services.metrics.exposition, services.readings)
        return Response(body, media_type=CONTENT_TYPE)

    app.add_route(PATH, metrics, methods=["GET"])
