"""Answers as HTTP responses: headers of the rate limit, the request id, and one map from errors to statuses."""

from uuid import uuid4

from fastapi import Response

from app.contract.errors import RefusedError
from app.services.accepting.acceptor import Admission, Answer, RateLimitedError


def respond(answer: Answer, admission: Admission | None) -> Response:
    """A successful answer. `admission` is None where no limit counts."""
    headers = _headers(answer.request_id, admission)
    headers.update(answer.headers)
    return Response(answer.body, answer.status, headers, media_type="application/json")


def refuse(refused: RefusedError, admission: Admission | None) -> Response:
    """An answer that is not a success. `admission` is None before the caller was known and counted."""
    if isinstance(refused, RateLimitedError):
        admission = refused.admission
    headers = _headers("", admission)
    if isinstance(refused, RateLimitedError):
        seconds = str(max(1, _seconds(refused.admission.grant.retry_after_ms)))
        headers["Retry-After"] = headers["X-RateLimit-Retry-After"] = seconds
    headers.update(refused.headers)
    return Response(refused.body(), refused.status, headers, media_type="application/json")


def _headers(request_id: str, admission: Admission | None) -> dict[str, str]:
    headers = {"X-Request-Id": request_id or str(uuid4())}
    if admission is not None:
        grant, quota = admission.grant, admission.quota
        headers["X-RateLimit-Limit"] = str(grant.limit)
        headers["X-RateLimit-Remaining"] = str(grant.remaining)
        left_ms = grant.reset_ms - grant.now_ms
        headers["X-RateLimit-Reset"] = str(_seconds(left_ms if quota.counts_down else grant.reset_ms))
        if quota.policy:  # draft-ietf-httpapi-ratelimit-headers-10
            headers["RateLimit-Policy"] = quota.policy
            headers["RateLimit"] = f'"{grant.name}";r={grant.remaining};t={_seconds(left_ms)}'
    return headers


def _seconds(milliseconds: int) -> int:
    """Whole seconds, rounded up: whoever waits that long has waited long enough."""
    return -(-milliseconds // 1000)
