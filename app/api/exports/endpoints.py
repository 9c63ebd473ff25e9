"""Endpoints that give profiles back (spec export-delete-rename.md 1)."""

from typing import Final

from app.api.answers import STALE, Answer
from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, OtherGroup, posting
from app.api.exports.models import ExportBody, Exported
from app.api.track.models import TrackRefusal
from app.contract import addresses, export
from app.contract.export import REQUIRES_FIELDS, names_small_fields
from app.contract.plans import EXPORT_FIELDS, EXPORT_IDS
from app.services.caller import Caller
from app.services.registry import Services

_HEADERS: Final = {"X-Onefold-Stale": "`true` when writes accepted before could not be waited for; else left out."}

_EXPORT_IDS: Final = Documentation(
    title="Export profiles by identifier",
    tag="Export",
    text="Sees every write that was accepted before it, for which it waits a second. Of the profiles that have an "
    "e-mail address or a phone number it gives the 100 most recently updated. `next_cursor`, sent as `cursor` with the "
    "same body, leads to the next ones.",
    body=ExportBody,
    example={"external_ids": ["ada", "nobody"], "fields_to_export": ["external_id", "custom_attributes"]},
    answers={201: Exported, 400: TrackRefusal},
    headers=_HEADERS,
)


def endpoints(services: Services) -> list[Endpoint]:
    async def export_ids(caller: Caller, body: bytes) -> Answer:
        requires_fields = bool(caller.options.get(REQUIRES_FIELDS))
        wanted = export.read(body, requires_fields=requires_fields, region=addresses.region_of(caller.options))
        found = await services.exporter.export(caller, wanted)
        return Answer(201, found.body, headers=STALE if found.stale else (), rest=found.rest)

    return [
        Endpoint(
            "POST",
            "/users/export/ids",
            "users.export.ids",
            EXPORT_IDS,
            posting(services, export_ids),
            _EXPORT_IDS,
            other=OtherGroup(EXPORT_FIELDS, names_small_fields),
        ),
    ]
