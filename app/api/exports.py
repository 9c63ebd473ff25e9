"""Endpoints that give profiles back (spec export-delete-rename.md 1)."""

from app.api.endpoints import Endpoint, posting
from app.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    reader = services.reader
    return [
        Endpoint("POST", "/users/export/ids", "users.export.ids", "export-ids", posting(services, reader.export_ids)),
    ]
