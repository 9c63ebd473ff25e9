"""Endpoints that take attributes, events and purchases (spec track.md)."""

from app.api.endpoints import Endpoint, accepting
from app.contract.plans import TRACK
from app.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    track, track_sync = services.acceptor.track, services.synchronous.track
    return [
        Endpoint("POST", "/users/track", "users.track", TRACK, accepting(services, track)),
        Endpoint("POST", "/users/track/sync", "users.track.sync", "track-sync", accepting(services, track_sync)),
    ]
