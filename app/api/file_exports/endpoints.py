"""Exports of many users to a file, by a job (spec export-delete-rename.md 2)."""

from typing import Final

from fastapi import Request

from app.adapters import clock
from app.api.answers import Answer, answered
from app.api.bodies import receive
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import MAX_READ_VALUES, Endpoint, posting
from app.api.file_exports.models import Archive, Cancelled, ControlGroupBody, SegmentBody, SegmentNamed, Started
from app.api.jobs import answers
from app.api.refusals import Refusal
from app.contract import file_exports, file_url
from app.contract.errors import RefusedError
from app.contract.export import REQUIRES_FIELDS
from app.contract.file_exports import FileExport
from app.contract.plans import MAX_BODY_BYTES
from app.domain.jobs import DONE, EXPORT_CONTROL_GROUP, EXPORT_SEGMENT
from app.services import jobs
from app.services.caller import Caller
from app.services.registry import Services

_CONTROL_GROUP: Final = Documentation(
    title="Export the global control group to a file",
    tag="Export",
    text="A job makes a file of JSON lines, one for each user: a zip with about 5,000 users in each of its files, or "
    "one gzip. The callback, if there is one, is told when it is done. One export at a time.",
    body=ControlGroupBody,
    example={"fields_to_export": ["external_id", "email"]},
    answers={201: Started},
)


_SEGMENT: Final = Documentation(
    title="Export a segment to a file",
    tag="Export",
    text="As the export of the global control group, of everybody in a segment. One export of a segment at a time.",
    body=SegmentBody,
    example={"segment_id": "2f4b1c1e-4a52-4d2b-9a44-6c1a4f0a3b11", "fields_to_export": ["external_id", "email"]},
    answers={201: Started, 404: Refusal},
)
_CANCEL: Final = Documentation(
    title="Cancel the export of a segment",
    tag="Export",
    text="The one that is queued or running.",
    body=SegmentNamed,
    example={"segment_id": "2f4b1c1e-4a52-4d2b-9a44-6c1a4f0a3b11"},
    answers={201: Cancelled, 404: Refusal},
)
_ARCHIVE: Final = Documentation(
    title="All that is held about a person",
    tag="Export",
    text="A job makes a zip: the profile, consent, history, merges, single events and purchases, and requests and dead "
    "letters that name the person. 202 until it is done; then 200, for ten minutes, until another one is made.",
    answers={200: Archive, 202: Archive, 404: Refusal},
    parameters=(Parameter("braze_id", "path", str, "The id that Onefold gave the profile."),),
)


def endpoints(services: Services) -> list[Endpoint]:
    async def read(caller: Caller, request: Request, *, with_segment: bool) -> FileExport:
        body = await receive(request, MAX_BODY_BYTES, services.receive_timeout_seconds, most_values=MAX_READ_VALUES)
        requires_fields = bool(caller.options.get(REQUIRES_FIELDS))
        return file_exports.read(body, with_segment=with_segment, requires_fields=requires_fields)

    async def start(caller: Caller, request: Request, kind: str, wanted: FileExport) -> Answer:
        reached_at = str(request.base_url)
        job = await services.jobs.start(caller, kind, wanted.segment_id, wanted.parameters(), reached_at)
        prefix = file_url.object_prefix(job.id, job.created_us)
        return answered(201, {"object_prefix": prefix, "url": jobs.url_of(caller, job)})

    async def control_group(caller: Caller, request: Request) -> Answer:
        wanted = await read(caller, request, with_segment=False)
        return await start(caller, request, EXPORT_CONTROL_GROUP, wanted)

    async def segment(caller: Caller, request: Request) -> Answer:
        wanted = await read(caller, request, with_segment=True)
        await services.segments.one(caller, wanted.segment_id)
        return await start(caller, request, EXPORT_SEGMENT, wanted)

    async def cancel(caller: Caller, body: bytes) -> Answer:
        segment_id = file_exports.read_cancel(body)
        await services.segments.one(caller, segment_id)
        if not await services.jobs.cancel_under_way(caller, EXPORT_SEGMENT, segment_id):
            raise RefusedError(404, file_exports.NOT_UNDER_WAY)
        return answered(201, {})

    async def archive(caller: Caller, request: Request) -> Answer:
        now_us = clock.now_us()
        job = await services.archives.of(caller, request.path_params["braze_id"], str(request.base_url), now_us)
        document: dict[str, object] = {"job": answers.job_of(caller, job, now_us), "url": jobs.url_of(caller, job)}
        return answered(200 if job.state == DONE else 202, document)

    return [
        Endpoint("GET", "/v1/profiles/{braze_id}/archive", "admin.profiles", "default", archive, _ARCHIVE),
        Endpoint("POST", "/users/export/segment", "users.export.segment", "default", segment, _SEGMENT),
        Endpoint("POST", "/export/segment/cancel", "segments.list", "default", posting(services, cancel), _CANCEL),
        Endpoint(
            "POST",
            "/users/export/global_control_group",
            "users.export.global_control_group",
            "default",
            control_group,
            _CONTROL_GROUP,
        ),
    ]
