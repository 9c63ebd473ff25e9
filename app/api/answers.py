"""Answers as HTTP responses: status, body, the request id, headers of the rate limit."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from fastapi import Response
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.api.refusing import RETRY_AFTER, answer_of, whole_seconds
from app.contract.errors import ObjectError, RefusedError
from app.services.accepting.acceptor import Accepted
from app.services.accepting.gate import Place
from app.services.quotas import Admission
from app.services.refusals import RateLimitedError, ServiceError

log = structlog.get_logger()

#: The answer is not the request's own, but that of the first request with its Idempotency-Key.
REPLAYED: Final = (("Idempotent-Replayed", "true"),)
#: Some of what was accepted before is not in the answer yet.
STALE: Final = (("X-Onefold-Stale", "true"),)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, which is JSON unless it says so. `request_id` is empty for an answer that accepted nothing."""

    status: int
    body: bytes
    request_id: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    #: What follows `body`, in parts that are made while they are taken. When one cannot be made, the connection is
    #: closed before the end of the answer, so that nobody takes a part for the whole.
    rest: AsyncIterator[bytes] | None = None
    media_type: str = "application/json"
    #: Objects of the request that were not accepted. The body says so already, where the contract wants it.
    errors: tuple[ObjectError, ...] = ()


def answered(status: int, document: dict[str, object], request_id: str = "", *, stale: bool = False) -> Answer:
    """A success, which says so."""
    return Answer(status, msgspec.json.encode(document | {"message": "success"}), request_id, STALE if stale else ())


def queued(accepted: Accepted, status: int) -> Answer:
    """The answer to a request that is in the inbox. A repeat gets that of the first request with its key."""
    if accepted.first_status:
        return Answer(accepted.first_status, accepted.answer, accepted.request_id, REPLAYED)
    return Answer(status, accepted.answer, accepted.request_id, errors=accepted.errors)


#: Answers are about people: nobody on the way keeps them, and no browser takes them for anything but what they say.
_SAFE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
#: Bytes of an answer that may wait for their client when its request has left its place.
AT_ONCE_BYTES: Final = 64 * 1024


class Sending(Response):
    """A response that keeps the place of its request until the client has taken it."""

    def __init__(self, response: Response, place: Place) -> None:
        # Not the response's own beginning: it would make a body and headers that nobody sends.
        self.status_code = response.status_code
        self._response = response
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_apart(message: Message) -> None:
            """The end of a large body goes in a message of its own. Sending waits for the client before a message and
            not behind one, so nobody would wait for who takes the last one."""
            if message["type"] == "http.response.body" and len(message.get("body", b"")) > AT_ONCE_BYTES:
                await send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        is_large = len(getattr(self._response, "body", b"")) > AT_ONCE_BYTES  # one that streams has none
        try:
            await self._response(scope, receive, send_apart if is_large else send)
        except ServiceError as error:  # behind the beginning of the answer, whose status cannot be changed any more
            log.warning("answer_broken_off", error=type(error).__name__)
        finally:
            self._place.leave()


def respond(answer: Answer, admission: Admission | None) -> Response:
    """A successful answer. `admission` is None where no limit counts."""
    headers = _headers(answer.request_id, admission)
    headers.update(answer.headers)
    if answer.rest is not None:
        parts = _parts(answer.body, answer.rest)
        return StreamingResponse(parts, answer.status, headers, media_type=answer.media_type)
    return Response(answer.body, answer.status, headers, media_type=answer.media_type)


async def _parts(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    del first
    async for part in rest:
        yield part


def refuse(error: RefusedError | ServiceError, admission: Admission | None) -> Response:
    """An answer that is not a success. `admission` is None before the caller was known and counted."""
    if isinstance(error, RefusedError):
        request_id, status, body, more = "", error.status, error.body(), error.headers
    else:
        request_id, (status, body, more) = error.request_id, answer_of(error)
    if isinstance(error, RateLimitedError):
        admission = error.admission
    if isinstance(error, RateLimitedError) and error.admission.quota.terse:
        admission, more = None, {RETRY_AFTER: more[RETRY_AFTER]}
    headers = _headers(request_id, admission)
    headers.update(more)
    return Response(body, status, headers, media_type="application/json")


def _headers(request_id: str, admission: Admission | None) -> dict[str, str]:
    headers = {"X-Request-Id": request_id or str(uuid4()), **_SAFE}
    if admission is not None:
        grant, quota = admission.grant, admission.quota
        headers["X-RateLimit-Limit"] = str(grant.limit)
        headers["X-RateLimit-Remaining"] = str(grant.remaining)
        left_ms = grant.reset_ms - grant.now_ms
        headers["X-RateLimit-Reset"] = str(whole_seconds(left_ms if quota.counts_down else grant.reset_ms))
        if quota.policy:  # draft-ietf-httpapi-ratelimit-headers-10
            headers["RateLimit-Policy"] = quota.policy
            headers["RateLimit"] = f'"{grant.name}";r={grant.remaining};t={whole_seconds(left_ms)}'
    return headers
