"""Merges before and after: previews, the list, histories, undoing. Endpoints of our own."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, key_of, posting
from app.api.identity.models import MergeBody
from app.api.merges import answers
from app.api.merges.models import History, MergeList, Preview, Undone, UndoPreview, UndoRefusal
from app.api.refusals import Refusal
from app.contract import addresses, merge_records, merge_request
from app.contract.merge_records import MAX_LIMIT, MAX_LINES, MAX_OFFSET
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.merges"

_STALE: Final = {"X-Onefold-Stale": "`true` when some of what was accepted before is not applied yet."}
_ALIAS: Final = {"alias_label": "basket", "alias_name": "guest-7"}

_PREVIEW: Final = Documentation(
    title="What a merge would do",
    tag="Merges",
    text="Takes the body of `/users/merge` and changes nothing. The plans are what the merge would do if it were the "
    "next request.",
    body=MergeBody,
    example={
        "merge_updates": [{"identifier_to_merge": {"user_alias": _ALIAS}, "identifier_to_keep": {"external_id": "ada"}}]
    },
    answers={200: Preview},
    headers=_STALE,
)
_LIST: Final = Documentation(
    title="Merges of a profile",
    tag="Merges",
    text="Of the profile that has the identifier, and of all that was merged into it. Name it in one way.",
    answers={200: MergeList},
    parameters=(
        Parameter("external_id", "query", str, "The profile's, or a former one."),
        Parameter("braze_id", "query", str, "Also that of a profile that was merged into another one."),
        Parameter("email", "query", str, "All profiles with the address, at most 100."),
        Parameter("alias_name", "query", str, "Together with `alias_label`."),
        Parameter("alias_label", "query", str, "Together with `alias_name`."),
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "Merges in a page; 50 by default."),
        Parameter("cursor", "query", str, "`next_cursor` of the page before, with the same identifier."),
        Parameter("offset", "query", Annotated[int, Meta(ge=0, le=MAX_OFFSET)], "Merges to leave out."),
    ),
    headers=_STALE,
)
_HISTORY: Final = Documentation(
    title="What happened to a profile",
    tag="Merges",
    text="By which request and key, without values. A merged or deleted profile has one as well.",
    answers={200: History, 404: Refusal},
    parameters=(
        Parameter("braze_id", "path", str, "The id that Onefold gave the profile."),
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_LINES)], "Lines in a page; 100 by default."),
        Parameter("cursor", "query", str, "`next_cursor` of the page before."),
    ),
    headers=_STALE,
)
_UNDO: Final = Documentation(
    title="Undo a merge",
    tag="Merges",
    text="The merged profile comes back with its identifiers and its history; what was written to the kept one since "
    "stays. It need not be the last merge: later ones stay, as if it had not been done. Answered when it is applied; a "
    "body is not looked at.",
    answers={200: Undone, 404: UndoRefusal, 409: UndoRefusal},
    idempotent=True,
    parameters=(Parameter("id", "path", str, "The merge's `id`."),),
)
_UNDO_PREVIEW: Final = Documentation(
    title="What undoing a merge would do",
    tag="Merges",
    text="Changes nothing. Tells what would become of the profile that has everything now, which fields cannot be "
    "separated for sure, and which later merges stand on this one. A body is not looked at.",
    answers={200: UndoPreview, 404: UndoRefusal, 409: UndoRefusal},
    parameters=(Parameter("id", "path", str, "The merge's `id`."),),
    headers=_STALE,
)


def endpoints(services: Services) -> list[Endpoint]:
    merges = services.merges

    async def preview(caller: Caller, body: bytes) -> Answer:
        commands = merge_request.read(body, addresses.region_of(caller.options))
        seen = await merges.preview(caller, commands)
        return answered(200, answers.preview(seen.value), stale=seen.stale)

    async def listed(caller: Caller, request: Request) -> Answer:
        key, page = merge_records.whose(request.query_params), merge_records.page(request.query_params)
        seen = await merges.listed(caller, key, page)
        return answered(200, answers.listed(caller, seen.value, seen.now_us), stale=seen.stale)

    async def history(caller: Caller, request: Request) -> Answer:
        page = merge_records.history_page(request.query_params)
        seen = await merges.history(caller, request.path_params["braze_id"], page)
        return answered(200, answers.history(caller, seen.value), stale=seen.stale)

    async def undo(caller: Caller, request: Request) -> Answer:
        undone = await merges.undo(caller, request.path_params["id"], key_of(caller, request))
        return answered(200, answers.undone(caller, undone.record, undone.now_us), undone.request_id)

    async def undo_preview(caller: Caller, request: Request) -> Answer:
        seen = await merges.undo_preview(caller, request.path_params["id"])
        return answered(200, answers.undo_preview(seen.value), stale=seen.stale)

    return [
        Endpoint("POST", "/v1/merges/preview", PERMISSION, "default", posting(services, preview), _PREVIEW),
        Endpoint("GET", "/v1/merges", PERMISSION, "default", listed, _LIST),
        Endpoint("GET", "/v1/profiles/{braze_id}/history", PERMISSION, "default", history, _HISTORY),
        Endpoint("POST", "/v1/merges/{id}/undo", PERMISSION, "default", undo, _UNDO),
        Endpoint("POST", "/v1/merges/{id}/undo/preview", PERMISSION, "default", undo_preview, _UNDO_PREVIEW),
    ]
