"""People as operators see them: lists, searches, one person, a timeline. Endpoints of our own."""

from typing import Annotated, Any, Final, Literal

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.api.people import answers
from app.api.people.models import Profiles, Shown, Timeline
from app.api.refusals import Refusal
from app.contract import addresses
from app.contract import people as contract
from app.contract.people import MAX_LIMIT, MAX_SEARCH
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.profiles"

_STALE: Final = {"X-Onefold-Stale": "`true` when some of what was accepted before is not applied yet."}
_PAGE: Final = (
    Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "Entries in a page; 50 by default."),
    Parameter("cursor", "query", str, "`next_cursor` of the page before."),
)
_WHO: Final = Parameter("braze_id", "path", str, "The id that Onefold gave the profile.")
_SEARCH: Final = Annotated[str, Meta(min_length=1, max_length=MAX_SEARCH)]


def _told(title: str, text: str, answer: Any, *parameters: Parameter) -> Documentation:
    return Documentation(
        title=title,
        tag="Profiles",
        text=text,
        answers={200: answer, 404: Refusal},
        parameters=(*parameters, *_PAGE),
        headers=_STALE,
    )


_LIST: Final = _told(
    "Find profiles",
    "All of them, the last made ones first; or with `search` those that have a text as an identifier, whose e-mail "
    "address or alias begins with it, or in whose name it stands. A page of a search may be short, or empty, and have "
    "a `next_cursor` all the same.",
    Profiles,
    Parameter("search", "query", _SEARCH, "External id, braze_id, alias, e-mail address, phone number or name."),
    Parameter("flag", "query", Literal["test_user", "global_control_group"], "Those that have it."),
    Parameter("segment", "query", str, "Id of a segment: those that are in it, the first made ones in front."),
)
_SHOW: Final = _told("Everything about a profile", "With the first page of its timeline.", Shown, _WHO)
_TIMELINE: Final = _told("What somebody did", "Events and purchases, the last one first.", Timeline, _WHO)


def endpoints(services: Services) -> list[Endpoint]:
    people = services.people

    async def find(caller: Caller, request: Request) -> Answer:
        query = contract.read_query(request.query_params, addresses.region_of(caller.options))
        seen = await people.find(caller, query)
        return answered(200, answers.listed(seen.value), stale=seen.stale)

    async def show(caller: Caller, request: Request) -> Answer:
        page = contract.read_page(request.query_params)
        seen = await people.show(caller, request.path_params["braze_id"], page)
        return answered(200, answers.person(caller, seen.value), stale=seen.stale)

    async def timeline(caller: Caller, request: Request) -> Answer:
        page = contract.read_page(request.query_params)
        seen = await people.timeline(caller, request.path_params["braze_id"], page)
        return answered(200, answers.timeline(caller, seen.value), stale=seen.stale)

    return [
        Endpoint("GET", "/v1/profiles", PERMISSION, "default", find, _LIST),
        Endpoint("GET", "/v1/profiles/{braze_id}", PERMISSION, "default", show, _SHOW),
        Endpoint("GET", "/v1/profiles/{braze_id}/timeline", PERMISSION, "default", timeline, _TIMELINE),
    ]
