"""Jobs: the list, one of them, ending one; and the files that come of them."""

from typing import Annotated, Final
from uuid import uuid4

from fastapi import Request, Response
from msgspec import Meta
from starlette.responses import FileResponse

from app.adapters import clock
from app.adapters.files import ZIP
from app.api.answers import Answer, Sending, answered, refuse
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, Probe, client_of
from app.api.jobs import answers
from app.api.jobs.models import JobList, JobShown
from app.api.refusals import RateLimited, Refusal
from app.contract.jobs import MAX_PAGE, read_page
from app.domain.jobs import KINDS
from app.services import budget
from app.services.caller import Caller
from app.services.keys import Address
from app.services.refusals import ServiceError, UnknownFileError
from app.services.registry import Services

PERMISSION: Final = "admin.jobs"
PATH: Final = "/files/{id}/{token}/{name}"

_ID: Final = Parameter("id", "path", str, "The job's id.")
_LIST: Final = Documentation(
    title="Jobs of the workspace",
    tag="Jobs",
    text="The newest first, those of the last seven days.",
    answers={200: JobList},
    parameters=(
        Parameter("state", "query", str, "`queued`, `running`, `done`, `failed` or `cancelled`."),
        Parameter("kind", "query", str, f"{', '.join(f'`{kind}`' for kind in KINDS)}."),
        Parameter("limit", "query", Annotated[int, Meta(ge=1, le=MAX_PAGE)], "Jobs in a page; 50 by default."),
        Parameter("cursor", "query", str, "`next_cursor` of the page before."),
    ),
)
_SHOW: Final = Documentation(
    title="One job",
    tag="Jobs",
    text="How far it is, and where its file is, or what it counted.",
    answers={200: JobShown, 404: Refusal},
    parameters=(_ID,),
)
_CANCEL: Final = Documentation(
    title="Cancel a job",
    tag="Jobs",
    text="Ends a job that is queued or running. The file of a finished one is removed.",
    answers={200: JobShown, 404: Refusal},
    parameters=(_ID,),
)
_FILE: Final = Documentation(
    title="The file of a job",
    tag="Jobs",
    text="Whoever has the address needs no key. It works once the job is done, until its file expires. Ranges are "
    "served. A file in the format gzip has the type `application/gzip`.",
    answers={200: bytes, 206: bytes, 404: Refusal, 429: RateLimited, 503: Refusal},
    parameters=(
        _ID,
        Parameter("token", "path", str, "The unguessable part."),
        Parameter("name", "path", str, "The name of the file."),
    ),
    media_type="application/zip",
)
_MEDIA_TYPES: Final = {ZIP: "application/zip"}


def endpoints(services: Services) -> list[Endpoint]:
    jobs = services.jobs

    async def listed(caller: Caller, request: Request) -> Answer:
        page = await jobs.listed(caller, read_page(dict(request.query_params)))
        return answered(200, answers.listed(caller, page, _now_us()))

    async def show(caller: Caller, request: Request) -> Answer:
        job = await jobs.get(caller, request.path_params["id"])
        shown = answers.job_of(caller, job, _now_us())
        if people := await services.previews.sample(caller, job):
            shown["sample"] = answers.sample(people)
        return answered(200, {"job": shown})

    async def cancel(caller: Caller, request: Request) -> Answer:
        job = await jobs.cancel(caller, request.path_params["id"])
        return answered(200, {"job": answers.job_of(caller, job, _now_us())})

    return [
        Endpoint("GET", "/v1/jobs", PERMISSION, "default", listed, _LIST),
        Endpoint("GET", "/v1/jobs/{id}", PERMISSION, "default", show, _SHOW),
        Endpoint("DELETE", "/v1/jobs/{id}", PERMISSION, "default", cancel, _CANCEL),
    ]


def probes(services: Services) -> list[Probe]:
    """The files: paths without a key, whose address is the key."""

    async def file(request: Request) -> Response:
        def client() -> Address | None:
            return client_of(request, services)

        path = request.path_params
        with budget.answering(services.answer_seconds):
            try:
                place = services.gate.enter()
            except ServiceError as refused:
                return refuse(refused, None)
            try:
                services.keys.refuse_flood(client)
                found = await services.jobs.file(path["id"], path["token"], path["name"])
                place.belongs_to(found.workspace_id)
            except ServiceError as refused:
                place.leave()
                if isinstance(refused, UnknownFileError) and refused.guessed:
                    services.keys.count_failure(client)
                return refuse(refused, None)
            except BaseException:
                place.leave()
                raise
            headers = {"X-Request-Id": str(uuid4()), "Cache-Control": "private, no-store"}
            media_type = _MEDIA_TYPES.get(found.form, "application/gzip")
            return Sending(FileResponse(found.path, headers=headers, media_type=media_type, filename=found.name), place)

    return [Probe(PATH, file, _FILE)]


def _now_us() -> int:
    return clock.now_us()
