"""Endpoints that give profiles back (spec export-delete-rename.md 1)."""

from typing import Final

from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, OtherGroup, posting
from app.api.exports.models import ExportBody, Exported
from app.contract.export import names_small_fields
from app.contract.plans import EXPORT_FIELDS, EXPORT_IDS
from app.services.registry import Services

STALE: Final = {"X-Onefold-Stale": "`true` when writes accepted before could not be waited for; else left out."}

_EXPORT_IDS: Final = Documentation(
    title="Export profiles by identifier",
    tag="Export",
    text="Sees every write that was accepted before it, for which it waits a second.",
    body=ExportBody,
    example={"external_ids": ["ada", "nobody"], "fields_to_export": ["external_id", "custom_attributes"]},
    answers={201: Exported},
    headers=STALE,
)


def endpoints(services: Services) -> list[Endpoint]:
    reader = services.reader
    return [
        Endpoint(
            "POST",
            "/users/export/ids",
            "users.export.ids",
            EXPORT_IDS,
            posting(services, reader.export_ids),
            _EXPORT_IDS,
            other=OtherGroup(EXPORT_FIELDS, names_small_fields),
        ),
    ]
