"""POST /v1/sdk/data: what devices of apps send, with the public key of the app, also from pages of other origins."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response

from app.api.answers import Answer, Sending, queued, refuse, respond
from app.api.bodies import JSON, PLACE, TEXT, hold, receive
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import SDK_KEY, Endpoint, client_of
from app.api.sdk.models import Batch, Taken
from app.api.track.models import TrackRefusal
from app.contract import sdk as contract
from app.contract.errors import RefusedError
from app.services import budget
from app.services.accepting.gate import Place
from app.services.caller import Caller
from app.services.keys import Address
from app.services.networks import origin as origin_of
from app.services.quotas import Admission
from app.services.refusals import ServiceError
from app.services.registry import Services
from app.services.sdk import GROUP, Known

PATH: Final = "/v1/sdk/data"
HEADER: Final = "X-Onefold-SDK-Key"
#: A beacon is text, so that a browser asks nobody before it.
TYPES: Final = (JSON, TEXT)
_EXPOSED: Final = "Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"
#: What a page may send, for a day: this endpoint takes it from any page, and then asks the app.
PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": f"Content-Type, {HEADER}",
    "Access-Control-Max-Age": "86400",
}

_DATA: Final = Documentation(
    title="Send what happened on a device",
    tag="SDK data",
    text="A batch of records, applied once, in the order of their sequence numbers. `text/plain` is read as JSON. The "
    "key is in the header or in the body. Nothing is taken from the limits of /users/track.",
    body=Batch,
    example={
        "device_id": "0b9a3c5e-device",
        "batch": 1,
        "records": [{"type": "event", "seq": 1, "ago": 120, "name": "viewed_product"}],
    },
    answers={201: Taken, 400: TrackRefusal},
    parameters=(Parameter(HEADER, "header", str, "The app's SDK key."),),
)


def endpoints(_services: Services) -> list[Endpoint]:
    return [Endpoint("POST", PATH, SDK_KEY, GROUP, _unused, _DATA)]


async def _unused(_caller: Caller, _request: Request) -> Answer:
    raise AssertionError("served by `serve`")


def preflight(request: Request) -> Response | None:
    """The answer to a browser that asks whether a page may send; None where nothing of ours is asked for."""
    if request.method != "OPTIONS" or request.scope["path"] != PATH:
        return None
    return _allowed(Response(status_code=204, headers=PREFLIGHT), request.headers.get("origin"))


def serve(services: Services, _endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The gateway as a request handler: key, origin, quotas, body, inbox."""
    gateway, acceptor = services.sdk, services.acceptor
    limit, seconds = gateway.limits.bytes, services.receive_timeout_seconds

    async def answer(request: Request, place: Place, origin: str | None) -> Response:
        admission: Admission | None = None
        known: Known | None = None

        def client() -> Address | None:
            return client_of(request, services)

        try:
            key = request.headers.get(HEADER)
            if key is None:
                services.keys.refuse_flood(client)
                with place.stranger(origin_of(client())):
                    early = await hold(request, limit, seconds, types=TYPES)
                key = None if early is None else contract.sdk_key_of(early)
            known = await gateway.authenticate(key, client)
            budget.charge(known.caller.workspace_id)
            place.belongs_to(known.caller.workspace_id)
            gateway.admit(known, origin, client)
            admission = await acceptor.take(known.caller, GROUP)
            body = await receive(request, limit, seconds, types=TYPES)
            found = queued(await gateway.accept(known, body), 201)
            place.hold(len(found.body))
            return _allowed(respond(found, admission), origin)
        except (RefusedError, ServiceError) as refused:
            response = refuse(refused, admission)
            # A page of another origin does not even learn why.
            return response if known is not None and not gateway.allows(known, origin) else _allowed(response, origin)

    async def handle(request: Request) -> Response:
        origin = request.headers.get("origin")
        with budget.answering(services.answer_seconds):
            try:
                place = request.scope[PLACE] = services.gate.enter()
            except ServiceError as refused:
                return _allowed(refuse(refused, None), origin)
            try:
                return Sending(await answer(request, place, origin), place)
            except BaseException:
                place.leave()
                raise

    return handle


def _allowed(response: Response, origin: str | None) -> Response:
    """The answer, as a page of this origin may read it. Cookies are neither needed nor allowed."""
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Vary"] = "Origin"
    return response
