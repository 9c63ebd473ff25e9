"""Flags of people: test users, the global control group, blocked profiles. An endpoint of our own."""

from functools import partial
from typing import Final

from app.api.documentation import Documentation
from app.api.endpoint import Endpoint, queueing
from app.api.flags.models import FlagsAccepted, FlagsBody
from app.api.track.models import TrackRefusal
from app.contract import addresses, flags
from app.services.accepting.acceptor import Accepted, IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.flags"

_CHANGE: Final = Documentation(
    title="Test users, the global control group, blocked profiles",
    tag="Profiles",
    text="Stored before it is answered, applied in the background, in the order of the requests and of the elements. "
    "An element without effect is listed in `GET /v1/requests/{id}`, also one that names an e-mail address or a phone "
    "number which several profiles have.",
    body=FlagsBody,
    example={"flags": [{"external_id": "ada", "test_user": True, "global_control_group": False}]},
    answers={201: FlagsAccepted, 400: TrackRefusal},
    idempotent=True,
)


def endpoints(services: Services) -> list[Endpoint]:
    async def change(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Accepted:
        check = partial(flags.check, region=addresses.region_of(caller.options))
        return await services.acceptor.queue(caller, check, body, key)

    return [Endpoint("POST", "/v1/flags", PERMISSION, "default", queueing(services, change), _CHANGE)]
