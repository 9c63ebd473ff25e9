"""Importing users as an export shows them: an endpoint of our own. Files of any size are for `onefold import`."""

from functools import partial
from typing import Final

from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, queueing
from app.api.imports.models import ImportAccepted, ImportBody
from app.api.track.models import TrackRefusal
from app.contract import addresses, users
from app.contract.plans import MAX_BULK_BODY_BYTES
from app.domain.commands import STREAM_BULK
from app.services.accepting.acceptor import Accepted, IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.imports"

_IMPORT: Final = Documentation(
    title="Import users as an export shows them",
    tag="Profiles",
    text="Users of Braze or of another Onefold, in up to 2 MB. One whom nobody is here is made with its `braze_id`, "
    "`created_at` and `random_bucket`; of others what is missing is filled, and the larger counts stay. Applied when "
    "nothing else of the workspace waits. The same user again changes nothing.",
    body=ImportBody,
    example={
        "users": [
            {
                "external_id": "ada",
                "braze_id": "5eea769d45bb2e1467418f92",
                "created_at": "2024-05-10T21:04:00Z",
                "first_name": "Ada",
                "custom_attributes": {"tier": "gold"},
                "custom_events": [
                    {"name": "view", "first": "2024-06-01T00:00:00Z", "last": "2026-01-01T00:00:00Z", "count": 3}
                ],
            }
        ]
    },
    answers={201: ImportAccepted, 400: TrackRefusal},
    idempotent=True,
)


def endpoints(services: Services) -> list[Endpoint]:
    async def import_users(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Accepted:
        check = partial(users.check, region=addresses.region_of(caller.options))
        return await services.acceptor.queue(caller, check, body, key, STREAM_BULK)

    action = queueing(services, import_users, limit=MAX_BULK_BODY_BYTES)
    return [Endpoint("POST", "/v1/imports", PERMISSION, "default", action, _IMPORT)]
