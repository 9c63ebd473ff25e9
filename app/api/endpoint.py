"""One endpoint, and how it is served: key, permission, quota, then its action (spec api-keys.md 1)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response

from app.api import noting
from app.api.answers import Answer, Sending, queued, refuse, respond
from app.api.bodies import PLACE, hold, receive, unless_gone
from app.api.documentation import Documentation
from app.api.refusing import passing
from app.api.serving import CALLER
from app.contract.body import api_key_of
from app.contract.errors import RefusedError
from app.contract.plans import MAX_BODY_BYTES
from app.services import budget
from app.services.accepting.acceptor import Accepted, IdempotencyKey, idempotency_key
from app.services.accepting.gate import Place
from app.services.caller import Caller
from app.services.keys import Address
from app.services.networks import client_address, origin
from app.services.quotas import Admission
from app.services.refusals import ServiceError
from app.services.registry import Services
from app.services.testing import Testing

#: JSON values that a body needs at most which only asks: a hundred identifiers, or filters.
MAX_READ_VALUES: Final = 10_000

#: Stands for the permission where an app's SDK key is asked for instead of a REST API key.
SDK_KEY: Final = "SDK key"
#: The same key, where SDKs made for somebody else send it.
WRITE_KEY: Final = "write key"

#: Paths of test mode, which nothing goes wrong with on purpose.
TEST_MODE: Final = "/v1/test/"
#: Of a request whose answer is to come later: by how many milliseconds.
LATENCY: Final = "onefold.latency_ms"

Action = Callable[[Caller, Request], Awaitable[Answer]]
#: What accepts a request: to be answered at once, or when it was applied.
Queueing = Callable[[Caller, bytes, IdempotencyKey | None], Awaitable[Accepted]]
Waiting = Callable[[Caller, bytes, IdempotencyKey | None], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path, who may call it, what a call costs, and what it does."""

    method: str
    path: str
    #: None: any live key of the workspace.
    permission: str | None
    #: The group of endpoints whose limit counts the call, see app.contract.plans.
    group: str
    #: Reads the body, if there is one, and answers. Raises RefusedError or ServiceError.
    action: Action
    documentation: Documentation
    #: Another group for bodies of some kind, where the workspace has the default limit for `group`.
    other: "OtherGroup | None" = None


@dataclass(frozen=True, slots=True)
class OtherGroup:
    """A group of endpoints, and which bodies it counts."""

    group: str
    counts: Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Probe:
    """A path for GET that needs no key and that no limit counts."""

    path: str
    handler: Callable[[Request], Awaitable[Response]]
    documentation: Documentation


def serve(services: Services, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint as a request handler. A refusal for key, permission or quota comes before the body is read.

    Two things need the body earlier, and get it only where they are switched on: a key in the body of an old client,
    and a limit that depends on what is asked for. Whatever is wrong with such a body is still said last.
    """
    keys, acceptor = services.keys, services.acceptor
    action = endpoint.action if endpoint.method != "GET" else _until_gone(endpoint.action)

    async def answer(request: Request, place: Place) -> Response:
        admission: Admission | None = None
        caller: Caller | None = None

        def client() -> Address | None:
            return client_of(request, services)

        try:
            authorization = request.headers.get("authorization")
            legacy = authorization is None and await keys.takes_legacy(client)
            if legacy:
                with place.stranger(origin(client())):
                    authorization = await _legacy_key(request, services)
            caller = await keys.authenticate(authorization, client, legacy=legacy)
            request.scope[CALLER] = caller
            budget.charge(caller.workspace_id)
            place.belongs_to(caller.workspace_id)
            try:
                keys.admit(caller, endpoint.permission, client)
            except ServiceError as refused:  # not counted, but whose key it is is known
                noting.refused(services, caller, endpoint.path, request, refused)
                return refuse(refused, await acceptor.standing(caller, endpoint.group))
            if services.testing is not None and not endpoint.path.startswith(TEST_MODE):
                _go_wrong(services.testing, caller, endpoint, request)
            group, other = endpoint.group, endpoint.other
            if other is not None and group not in caller.group_limits:
                body = await hold(request, MAX_BODY_BYTES, services.receive_timeout_seconds)
                if body is not None and other.counts(body):
                    group = other.group
            admission = await acceptor.take(caller, group)
            found = await action(caller, request)
            noting.partly(services, caller, endpoint.path, request, found)
            place.hold(len(found.body))
            return respond(found, admission)
        except (RefusedError, ServiceError) as refused:
            noting.refused(services, caller, endpoint.path, request, refused)
            return refuse(refused, admission)
        except Exception:
            noting.failed(services, caller, endpoint.path, request)
            raise

    async def handle(request: Request) -> Response:
        with budget.answering(services.answer_seconds):
            try:
                place = request.scope[PLACE] = services.gate.enter()
            except ServiceError as refused:
                return refuse(refused, None)
            try:
                found = await answer(request, place)
                if (latency_ms := request.scope.get(LATENCY)) is not None:
                    await asyncio.sleep(latency_ms / 1000)
                return Sending(found, place)
            except BaseException:
                place.leave()
                raise

    return handle


def _go_wrong(testing: Testing, caller: Caller, endpoint: Endpoint, request: Request) -> None:
    """Test mode: what somebody wanted to happen to this call. Raises ServiceError."""
    fault = testing.meet(caller, endpoint.path)
    if fault is not None:
        request.scope[LATENCY] = fault.latency_ms
        testing.refuse(caller, fault, endpoint.group)


def client_of(request: Request, services: Services) -> Address | None:
    """The address of the client, as far as proxies are believed."""
    peer = request.client.host if request.client is not None else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), services.trusted_proxies)


async def _legacy_key(request: Request, services: Services) -> str | None:
    """The key of a request without an Authorization header, as the header would have it: of the query, or the body."""
    key: object = request.query_params.get("api_key")
    if key is None and request.method != "GET":
        body = await hold(request, MAX_BODY_BYTES, services.receive_timeout_seconds)
        key = None if body is None else api_key_of(body)
    return f"Bearer {key}" if isinstance(key, str) else None


def posting(services: Services, action: Callable[[Caller, bytes], Awaitable[Answer]]) -> Action:
    """An action that reads: it needs the body of the request and nothing else of it."""

    async def post(caller: Caller, request: Request) -> Answer:
        seconds = services.receive_timeout_seconds
        body = await receive(request, MAX_BODY_BYTES, seconds, most_values=MAX_READ_VALUES)
        return await unless_gone(request, action(caller, body))

    return post


def _until_gone(action: Action) -> Action:
    async def get(caller: Caller, request: Request) -> Answer:
        return await unless_gone(request, action(caller, request))

    return get


def queueing(
    services: Services,
    action: Queueing,
    status: int = 201,
    *,
    limit: int = MAX_BODY_BYTES,
    too_large: int = 413,
    variant: str = "",
) -> Action:
    """An action that accepts a request and is answered `status` at once. What is refused is not stored, so the same
    Idempotency-Key may come again with a body that is mended.

    A body of more than `limit` bytes is refused with the status `too_large`. `variant` names what the path alone does
    not say of where the request goes: all uses of a key must go to one stream.
    """

    async def post(caller: Caller, request: Request) -> Answer:
        body = await receive(request, limit, services.receive_timeout_seconds, too_large=too_large)
        key = key_of(caller, request, body, variant, status)
        try:
            return queued(await action(caller, body, key), status)
        except (RefusedError, ServiceError) as refused:
            first = await services.acceptor.repeated(caller, key) if key is not None and passing(refused) else None
            if first is None:
                raise
            return queued(first, status)

    return post


def waiting(services: Services, action: Waiting) -> Action:
    """An action that accepts a request, with its Idempotency-Key, and is answered when it was applied."""

    async def post(caller: Caller, request: Request) -> Answer:
        body = await receive(request, MAX_BODY_BYTES, services.receive_timeout_seconds)
        return await action(caller, body, key_of(caller, request, body))

    return post


def key_of(
    caller: Caller, request: Request, body: bytes = b"", variant: str = "", status: int = 0
) -> IdempotencyKey | None:
    """The request's Idempotency-Key. It stands for the path with all that is in it. Raises RefusedError(400).

    `status` is that of the answer when the request is accepted; 0 = it is answered when it was applied.
    """
    sent = request.headers.getlist("idempotency-key")
    return idempotency_key(caller, request.scope["path"] + variant, sent, body, status)
