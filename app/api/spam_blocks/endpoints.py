"""Blocked profiles: who is, and ending a block. Endpoints of our own; `POST /v1/flags` blocks."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.api.flags.endpoints import PERMISSION
from app.api.refusals import Refusal
from app.api.spam_blocks.models import Lifted, SpamBlocks
from app.contract.spam_blocks import MAX_PAGE, read_page
from app.services.caller import Caller
from app.services.registry import Services
from app.services.spam_blocks import Blocked

_LIST: Final = Documentation(
    title="Blocked profiles",
    tag="Profiles",
    text="They have far more sessions, events or products than a person has, or were blocked by `POST /v1/flags`, and "
    "take no further data.",
    answers={200: SpamBlocks},
    parameters=(
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_PAGE)], "Profiles in a page; 50 by default."),
        Parameter("cursor", "query", str, "`next_cursor` of the page before."),
    ),
)
_LIFT: Final = Documentation(
    title="End a block",
    tag="Profiles",
    text="Answered when it has ended. A further name beyond the bound blocks the profile again: raise the bound first. "
    "Deleting the profile ends its block too.",
    answers={200: Lifted, 404: Refusal},
    parameters=(Parameter("braze_id", "path", str, "The id that Onefold gave the profile."),),
)


def endpoints(services: Services) -> list[Endpoint]:
    blocks = services.spam_blocks

    async def listed(caller: Caller, request: Request) -> Answer:
        seen = await blocks.listed(caller, read_page(request.query_params))
        document: dict[str, object] = {"spam_blocks": [_shown(one) for one in seen.value.blocked]}
        if seen.value.more:
            document["next_cursor"] = str(seen.value.blocked[-1].pid)
        return answered(200, document, stale=seen.stale)

    async def lift(caller: Caller, request: Request) -> Answer:
        request_id = await blocks.lift(caller, request.path_params["braze_id"])
        return answered(200, {}, request_id)

    return [
        Endpoint("GET", "/v1/spam_blocks", PERMISSION, "default", listed, _LIST),
        Endpoint("DELETE", "/v1/spam_blocks/{braze_id}", PERMISSION, "default", lift, _LIFT),
    ]


def _shown(one: Blocked) -> dict[str, object]:
    named = {} if one.external_id is None else {"external_id": one.external_id}
    counts = {"sessions": one.sessions, "event_names": one.event_names, "product_ids": one.product_ids}
    return {"braze_id": one.braze_id, **named, **counts}
