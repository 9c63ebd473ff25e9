"""Answers as HTTP responses: headers of the rate limit, the request id, and one map from errors to statuses."""

from uuid import uuid4

from fastapi import Response

from app.accept import Answer, Grant, RateLimitedError
from app.contract.errors import RefusedError


def respond(answer: Answer, grant: Grant) -> Response:
    """A successful answer."""
    headers = _headers(answer.request_id, grant)
    headers.update(answer.headers)
    return Response(answer.body, answer.status, headers, media_type="application/json")


def refuse(refused: RefusedError, grant: Grant | None) -> Response:
    """An answer that is not a success. `grant` is None before the caller was known and counted."""
    if isinstance(refused, RateLimitedError):
        grant = refused.grant
    headers = _headers("", grant)
    if isinstance(refused, RateLimitedError):
        seconds = str(max(1, -(-refused.grant.retry_after_ms // 1000)))
        headers["Retry-After"] = headers["X-RateLimit-Retry-After"] = seconds
    headers.update(refused.headers)
    return Response(refused.body(), refused.status, headers, media_type="application/json")


def _headers(request_id: str, grant: Grant | None) -> dict[str, str]:
    headers = {"X-Request-Id": request_id or str(uuid4())}
    if grant is not None and grant.limit:
        headers["X-RateLimit-Limit"] = str(grant.limit)
        headers["X-RateLimit-Remaining"] = str(grant.remaining)
        headers["X-RateLimit-Reset"] = str(-(-grant.reset_ms // 1000))
    return headers
