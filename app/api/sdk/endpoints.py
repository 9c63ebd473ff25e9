"""POST /v1/sdk/data: what devices of apps send, with the public key of the app, also from pages of other origins."""

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response

from app.api.answers import Answer, queued
from app.api.bodies import JSON, TEXT, hold, receive
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import SDK_KEY, Endpoint
from app.api.sdk.models import Batch, Taken
from app.api.sdk.pages import Pages, allowed
from app.api.track.models import TrackRefusal
from app.contract import sdk as contract
from app.services.caller import Caller
from app.services.registry import Services
from app.services.sdk import GROUP, Known

PATH: Final = "/v1/sdk/data"
HEADER: Final = "X-Onefold-SDK-Key"
#: A beacon is text, so that a browser asks nobody before it.
TYPES: Final = (JSON, TEXT)
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
    return allowed(Response(status_code=204, headers=PREFLIGHT), request.headers.get("origin"))


def serve(services: Services, _endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """The gateway as a request handler."""
    limit, seconds = services.sdk.limits.bytes, services.receive_timeout_seconds

    async def key_in_body(request: Request) -> str | None:
        body = await hold(request, limit, seconds, types=TYPES)
        return None if body is None else contract.sdk_key_of(body)

    async def take(known: Known, request: Request) -> Answer:
        body = await receive(request, limit, seconds, types=TYPES)
        return queued(await services.sdk.accept(known, body), 201)

    return Pages(services, PATH, lambda request: request.headers.get(HEADER), key_in_body, take).handle
