"""Endpoints that take attributes, events and purchases (spec track.md)."""

from app.api.endpoints import Endpoint, posting
from app.contract.plans import TRACK
from app.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    acceptor = services.acceptor
    return [
        Endpoint("POST", "/users/track", "users.track", TRACK, posting(services, acceptor.track)),
    ]
