"""Requests that could not be applied: looking at them and sending them again. Endpoints of our own."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.dead_letters import answers
from app.api.dead_letters.models import DeadLetters, Replay, ReplayBody
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, posting
from app.contract.dead_letters import MAX_PAGE, read_page, read_replay
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.dead_letters"

_LIST: Final = Documentation(
    title="Requests that could not be applied",
    tag="Dead letters",
    text="Those of the last 30 days, in the order in which they were accepted. Bodies are not shown.",
    answers={200: DeadLetters},
    parameters=(
        Parameter("reason", "query", str, "Class of the error."),
        Parameter("kind", "query", str, "What was asked for, `track` for instance."),
        Parameter("from", "query", str, "Accepted at this time or later."),
        Parameter("to", "query", str, "Accepted before this time."),
        Parameter("replayed", "query", bool, "Whether it was sent again."),
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_PAGE)], "Letters in a page; 100 by default."),
        Parameter("cursor", "query", str, "`next_cursor` of the page before."),
    ),
)
_REPLAY: Final = Documentation(
    title="Send them again",
    tag="Dead letters",
    text="As new requests, behind everything accepted so far, in their old order. A letter is sent once, however often "
    "it is asked for, and is kept.",
    body=ReplayBody,
    example={"filter": {"kind": "track", "from": "2026-02-10T09:15:00Z"}},
    answers={201: Replay},
)


def endpoints(services: Services) -> list[Endpoint]:
    dead_letters = services.dead_letters

    async def listed(caller: Caller, request: Request) -> Answer:
        page = await dead_letters.listed(caller, read_page(dict(request.query_params)))
        return answered(200, answers.listed(caller, page))

    # No Idempotency-Key: a letter is its own.
    async def replay(caller: Caller, body: bytes) -> Answer:
        return answered(201, answers.replayed(caller, await dead_letters.replay(caller, read_replay(body))))

    return [
        Endpoint("GET", "/v1/dead-letters", PERMISSION, "default", listed, _LIST),
        Endpoint("POST", "/v1/dead-letters/replay", PERMISSION, "default", posting(services, replay), _REPLAY),
    ]
