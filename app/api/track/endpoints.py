"""Endpoints that take attributes, events and purchases (spec track.md)."""

from functools import partial
from typing import Final

from fastapi import Request

from app.api.answers import Answer, answered
from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, queueing, waiting
from app.api.track.models import SyncAccepted, TrackAccepted, TrackBody, TrackRefusal
from app.contract.plans import MAX_BULK_BODY_BYTES, TRACK
from app.domain.commands import STREAM_BULK
from app.services.accepting.acceptor import IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

#: On /users/track: the request may wait behind all that do not say so. Its value does not matter, not even `false`.
BULK_HEADER: Final = "x-braze-bulk"

_TRACK: Final = Documentation(
    title="Record attributes, events and purchases",
    tag="Track",
    text="Stored before it is answered, applied in the background: once, and in the order in which requests were "
    "accepted. An object that cannot be accepted is named in `errors`, and the rest goes on.",
    body=TrackBody,
    example={
        "attributes": [{"external_id": "ada", "first_name": "Ada", "tier": "gold", "visits": {"inc": 1}}],
        "events": [
            {"external_id": "ada", "name": "logged_in", "time": "2026-02-10T09:15:00Z", "properties": {"app": "web"}}
        ],
        "purchases": [
            {
                "external_id": "ada",
                "product_id": "book",
                "currency": "USD",
                "price": 12.5,
                "quantity": 2,
                "time": "2026-02-10T09:15:00Z",
            }
        ],
    },
    answers={201: TrackAccepted, 400: TrackRefusal},
    idempotent=True,
)
_SYNC: Final = Documentation(
    title="Record one object and see what came of it",
    tag="Track",
    text="Answered when the object is applied. 503 `timeout` when that takes too long: the request stays queued, and "
    "its `X-Request-Id` can be asked about. 503 also when it could not be applied, a fault of Onefold's: it is "
    "kept as a dead letter. A value that differs from what was sent was changed by a limit.",
    body=TrackBody,
    example={"attributes": [{"external_id": "ada", "visits": {"inc": 1}, "tier": "gold"}]},
    answers={201: SyncAccepted, 400: TrackRefusal},
    idempotent=True,
)
_BULK: Final = Documentation(
    title="Record many objects, behind everything else",
    tag="Track",
    text="For backfills: up to 1,000 objects, of which 100 may name the same profile, in up to 2 MB. Applied when "
    "nothing else of the workspace waits, in an order of its own. `/users/track` with the header `X-Braze-Bulk` goes "
    "the same way.",
    body=TrackBody,
    example={"attributes": [{"external_id": "ada", "tier": "gold"}, {"external_id": "bob", "tier": "silver"}]},
    answers={201: TrackAccepted, 400: TrackRefusal},
    idempotent=True,
)


def endpoints(services: Services) -> list[Endpoint]:
    acceptor = services.acceptor
    track = queueing(services, acceptor.track)
    marked = queueing(services, partial(acceptor.track, stream=STREAM_BULK), variant=f" {BULK_HEADER}")

    async def either(caller: Caller, request: Request) -> Answer:
        return await (marked if BULK_HEADER in request.headers else track)(caller, request)

    async def applied(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Answer:
        found = await services.synchronous.track(caller, body, key)
        return answered(201, found.asked.answer(found.profile), found.request_id)

    sync = waiting(services, applied)
    bulk = queueing(services, acceptor.track_bulk, limit=MAX_BULK_BODY_BYTES, too_large=400)
    return [
        Endpoint("POST", "/users/track", "users.track", TRACK, either, _TRACK),
        Endpoint("POST", "/users/track/sync", "users.track.sync", "track-sync", sync, _SYNC),
        Endpoint("POST", "/users/track/bulk", "users.track.bulk", "track-bulk", bulk, _BULK),
    ]
