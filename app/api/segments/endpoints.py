"""Segments: the contract's lists, and endpoints of our own to make, change and ask about them."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.adapters import clock
from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, posting
from app.api.jobs import answers as job_answers
from app.api.refusals import Refusal
from app.api.segments import answers
from app.api.segments.models import (
    All,
    Counting,
    DataSeries,
    Details,
    NewSegment,
    One,
    Preview,
    PreviewBody,
    Removed,
    Schema,
    SegmentChange,
    SegmentList,
    Why,
)
from app.contract import merge_records
from app.contract import segment_requests as contract
from app.services.caller import Caller
from app.services.jobs import Job
from app.services.registry import Services
from app.services.segments import PERMISSION

_STALE: Final = {"X-Onefold-Stale": "`true` when some of what was accepted before is not applied yet."}
_LEADS: Final = {
    "groups": [
        {
            "op": "AND",
            "filters": [
                {"field": "external_id", "op": "is_blank"},
                {"field": "custom_attribute", "name": "is_lead_profile", "op": "is_true"},
            ],
        }
    ]
}
_ID: Final = Parameter("segment_id", "path", str, "The segment's `id`.")
_PAGES: Final = (
    Parameter("page", "query", str, "From 0; a page has 100 segments."),
    Parameter("sort_direction", "query", str, "`asc` (the oldest first, the default) or `desc`."),
)

_LIST: Final = Documentation(
    title="List segments", tag="Segments", text="100 in a page.", answers={200: SegmentList}, parameters=_PAGES
)
_DETAILS: Final = Documentation(
    title="Details of a segment",
    tag="Segments",
    text="What it is called and says.",
    answers={200: Details, 404: Refusal},
    parameters=(Parameter("segment_id", "query", str, "The segment's `id`."),),
)
_SERIES: Final = Documentation(
    title="Sizes of a segment by day",
    tag="Segments",
    text="Counted once on each day of the workspace, while `analytics_tracking_enabled` is true. Days on which it was "
    "not counted are left out.",
    answers={200: DataSeries, 404: Refusal},
    parameters=(
        Parameter("segment_id", "query", str, "The segment's `id`."),
        Parameter("length", "query", Annotated[int, Meta(ge=1, le=contract.MAX_LENGTH)], "How many days."),
        Parameter("ending_at", "query", str, "A moment of the last day; now by default."),
    ),
)
_NEW: Final = Documentation(
    title="Make a segment",
    tag="Segments",
    text="Its people are asked for whenever they are needed: nobody is stored as a member.",
    body=NewSegment,
    example={"name": "guest leads", **_LEADS},
    answers={201: One},
)
_ALL: Final = Documentation(
    title="List segments with their definitions",
    tag="Segments",
    text="100 in a page.",
    answers={200: All},
    parameters=_PAGES,
)
_ONE: Final = Documentation(
    title="A segment", tag="Segments", text="With its definition.", answers={200: One, 404: Refusal}, parameters=(_ID,)
)
_CHANGE: Final = Documentation(
    title="Change a segment",
    tag="Segments",
    text="Members that are left out stay as they are.",
    body=SegmentChange,
    example={"analytics_tracking_enabled": True},
    answers={200: One, 404: Refusal},
    parameters=(_ID,),
)
_REMOVE: Final = Documentation(
    title="Remove a segment",
    tag="Segments",
    text="With its sizes. Refused while another segment has it as a filter.",
    answers={200: Removed, 404: Refusal},
    parameters=(_ID,),
)
_SCHEMA: Final = Documentation(
    title="Fields and operators of filters",
    tag="Segments",
    text="What a filter may say: each field with its type, operators and further members, each operator with what its "
    "`value` is.",
    answers={200: Schema},
)
_PREVIEW: Final = Documentation(
    title="Count a segment",
    tag="Segments",
    text="Exactly, at one instant. May take some seconds; what takes longer becomes a job. The same request is then "
    "answered 202 until the job is done, and 200 with what it counted for ten minutes after that.",
    body=PreviewBody,
    example={**_LEADS, "sample": 5},
    answers={200: Preview, 202: Counting},
    headers=_STALE,
)
_WHY: Final = Documentation(
    title="Why somebody is in a segment",
    tag="Segments",
    text="Filter by filter, for each profile that has the identifier. Name it in one way.",
    answers={200: Why, 404: Refusal},
    parameters=(
        _ID,
        Parameter("external_id", "query", str, "The profile's, or a former one."),
        Parameter("braze_id", "query", str, "The id that Onefold gave the profile."),
        Parameter("email", "query", str, "All profiles with the address, at most 100."),
        Parameter("alias_name", "query", str, "Together with `alias_label`."),
        Parameter("alias_label", "query", str, "Together with `alias_name`."),
    ),
    headers=_STALE,
)


def endpoints(services: Services) -> list[Endpoint]:
    segments = services.segments

    async def list_(caller: Caller, request: Request) -> Answer:
        found = await segments.listed(caller, contract.read_listing(request.query_params))
        return answered(200, {"segments": [answers.listed(one) for one in found]})

    async def details(caller: Caller, request: Request) -> Answer:
        return answered(200, answers.details(await segments.one(caller, contract.read_id(request.query_params))))

    async def series(caller: Caller, request: Request) -> Answer:
        sizes = await segments.series(caller, contract.read_series(request.query_params))
        return answered(200, {"data": [{"time": contract.day_text(day), "size": size} for day, size in sizes]})

    async def new(caller: Caller, body: bytes) -> Answer:
        return answered(201, answers.shown(await segments.add(caller, contract.read_body(body))))

    async def all_(caller: Caller, request: Request) -> Answer:
        found = await segments.listed(caller, contract.read_listing(request.query_params))
        return answered(200, {"segments": [answers.shown(one) for one in found]})

    async def one(caller: Caller, request: Request) -> Answer:
        return answered(200, answers.shown(await segments.one(caller, request.path_params["segment_id"])))

    async def change(caller: Caller, request: Request) -> Answer:
        async def changed(caller: Caller, body: bytes) -> Answer:
            segment_id = request.path_params["segment_id"]
            return answered(200, answers.shown(await segments.change(caller, segment_id, contract.read_body(body))))

        return await posting(services, changed)(caller, request)

    async def remove(caller: Caller, request: Request) -> Answer:
        await segments.remove(caller, request.path_params["segment_id"])
        return answered(200, {})

    async def schema(_caller: Caller, _request: Request) -> Answer:
        return answered(200, contract.schema())

    async def preview(caller: Caller, body: bytes) -> Answer:
        found = await services.previews.of(caller, contract.read_body(body))
        now_us = clock.now_us()
        if isinstance(found, Job):
            return answered(202, {"job": job_answers.job_of(caller, found, now_us)})
        return answered(200, answers.preview(caller, found, now_us), stale=found.stale)

    async def why(caller: Caller, request: Request) -> Answer:
        key = merge_records.whose(request.query_params)
        found, stale = await segments.why(caller, request.path_params["segment_id"], key)
        return answered(200, {"profiles": [answers.why(one) for one in found]}, stale=stale)

    by_id = "/v1/segments/{segment_id}"
    return [
        Endpoint("GET", "/segments/list", "segments.list", "default", list_, _LIST),
        Endpoint("GET", "/segments/details", "segments.details", "default", details, _DETAILS),
        Endpoint("GET", "/segments/data_series", "segments.data_series", "default", series, _SERIES),
        Endpoint("GET", "/v1/segments/schema", PERMISSION, "default", schema, _SCHEMA),
        Endpoint("POST", "/v1/segments/preview", PERMISSION, "default", posting(services, preview), _PREVIEW),
        Endpoint("GET", "/v1/segments", PERMISSION, "default", all_, _ALL),
        Endpoint("POST", "/v1/segments", PERMISSION, "default", posting(services, new), _NEW),
        Endpoint("GET", by_id, PERMISSION, "default", one, _ONE),
        Endpoint("PUT", by_id, PERMISSION, "default", change, _CHANGE),
        Endpoint("DELETE", by_id, PERMISSION, "default", remove, _REMOVE),
        Endpoint("GET", f"{by_id}/why", PERMISSION, "default", why, _WHY),
    ]
