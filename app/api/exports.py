"""Endpoints that give profiles back (spec export-delete-rename.md 1)."""

from app.api.endpoints import Endpoint, posting
from app.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    take, reader = services.acceptor.take_default, services.reader
    return [
        Endpoint("POST", "/users/export/ids", "users.export.ids", take, posting(services, reader.export_ids)),
    ]
