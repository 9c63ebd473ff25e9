"""Endpoints that take attributes, events and purchases (spec track.md)."""

from typing import Final

from app.api.documentation import Documentation
from app.api.endpoints import Endpoint, accepting
from app.api.models.track import SyncAccepted, TrackAccepted, TrackBody, TrackRefusal
from app.contract.plans import TRACK
from app.services import Services

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
    "its `X-Request-Id` can be asked about. A value that differs from what was sent was changed by a limit.",
    body=TrackBody,
    example={"attributes": [{"external_id": "ada", "visits": {"inc": 1}, "tier": "gold"}]},
    answers={201: SyncAccepted, 400: TrackRefusal},
    idempotent=True,
)


def endpoints(services: Services) -> list[Endpoint]:
    track, track_sync = services.acceptor.track, services.synchronous.track
    return [
        Endpoint("POST", "/users/track", "users.track", TRACK, accepting(services, track), _TRACK),
        Endpoint("POST", "/users/track/sync", "users.track.sync", "track-sync", accepting(services, track_sync), _SYNC),
    ]
