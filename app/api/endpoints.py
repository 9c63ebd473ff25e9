"""One endpoint, and how it is served: key, permission, quota, then its action (spec api-keys.md 1)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request, Response

from app.accept import Answer, Grant, IdempotencyKey, idempotency_key
from app.access import KeyRecord
from app.api.answers import refuse, respond
from app.api.bodies import receive
from app.api.documentation import Documentation
from app.contract.errors import ACCESS_DENIED, RefusedError
from app.contract.plans import MAX_BODY_BYTES
from app.permissions import allows
from app.services import Services

Action = Callable[[KeyRecord, Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path, who may call it, what a call costs, and what it does."""

    method: str
    path: str
    #: None: any live key of the workspace.
    permission: str | None
    #: The group of endpoints whose limit counts the call, see app.contract.plans.
    group: str
    #: Reads the body, if there is one, and answers. Raises RefusedError.
    action: Action
    #: None fails a test: every endpoint is in the OpenAPI document.
    documentation: Documentation | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """A path for GET that needs no key and that no limit counts."""

    path: str
    handler: Callable[[Request], Awaitable[Response]]
    documentation: Documentation


def serve(services: Services, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint as a request handler. A refusal for key, permission or quota comes before the body is read."""

    async def handle(request: Request) -> Response:
        grant: Grant | None = None
        try:
            caller = await services.keys.authenticate(request.headers.get("authorization"))
            if endpoint.permission is not None and not allows(caller.permissions, endpoint.permission):
                raise RefusedError(403, ACCESS_DENIED)
            grant = await services.acceptor.take(caller, endpoint.group)
            return respond(await endpoint.action(caller, request), grant)
        except RefusedError as refused:
            return refuse(refused, grant)

    return handle


Accepting = Callable[[KeyRecord, bytes, IdempotencyKey | None], Awaitable[Answer]]


def posting(services: Services, action: Callable[[KeyRecord, bytes], Awaitable[Answer]]) -> Action:
    """An action that reads: it needs the body of the request and nothing else of it."""

    async def post(caller: KeyRecord, request: Request) -> Answer:
        return await action(caller, await receive(request, MAX_BODY_BYTES, services.receive_timeout_seconds))

    return post


def accepting(services: Services, action: Accepting) -> Action:
    """An action that accepts a request: it needs its body, and puts the Idempotency-Key, if there is one, into the
    Entry that it stores. What is refused is not stored, so the same key may come again with a body that is mended.
    """

    async def post(caller: KeyRecord, request: Request) -> Answer:
        body = await receive(request, MAX_BODY_BYTES, services.receive_timeout_seconds)
        key = idempotency_key(caller, request.scope["path"], request.headers.getlist("idempotency-key"), body)
        try:
            return await action(caller, body, key)
        except RefusedError as refused:
            if key is not None and refused.status == 400:
                first = await services.acceptor.repeated(caller, key)
                if first is not None:
                    return first
            raise

    return post
