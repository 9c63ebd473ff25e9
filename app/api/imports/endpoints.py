"""Importing users as an export shows them, or a file as `onefold import` takes it: an endpoint of our own."""

from functools import partial
from typing import Final

from fastapi import Request

from app.adapters import clock
from app.api.answers import Answer, answered
from app.api.bodies import chunks, length_of, media_type_of
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint, queueing
from app.api.imports.models import ImportAccepted, ImportBody
from app.api.jobs.answers import job_of
from app.api.jobs.models import JobShown
from app.api.track.models import TrackRefusal
from app.contract import addresses, import_files, users
from app.contract.import_files import MEDIA_TYPES
from app.contract.plans import MAX_BULK_BODY_BYTES
from app.contract.rows import KINDS
from app.domain.commands import STREAM_BULK
from app.services.accepting.acceptor import Accepted, IdempotencyKey
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.imports"

_IMPORT: Final = Documentation(
    title="Import users as an export shows them, or a file",
    tag="Profiles",
    text="Users of Braze or of another Onefold, in up to 2 MB. One whom nobody is here is made with its `braze_id`, "
    "`created_at` and `random_bucket`; of others what is missing is filled, and the larger counts stay. Applied when "
    "nothing else of the workspace waits. The same user again changes nothing.\n\n"
    "Of another content type than JSON the body is a file as `onefold import` takes it: NDJSON, CSV, gzip, or a zip of "
    "such files. The answer is 202 and a job, which imports each row of the file once; the same file again changes "
    "nothing. `GET /v1/jobs/{id}` says how far it is and what it counted; its file lists the rows that were refused.",
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
    answers={201: ImportAccepted, 202: JobShown, 400: TrackRefusal},
    parameters=(
        Parameter("name", "query", str, "Of a file: what it is called. The ending says its form, as `.csv` does."),
        Parameter("kind", "query", str, f"Of a file: what rows are: {', '.join(KINDS)}; else each row tells."),
        Parameter("overwrite", "query", bool, "Of a file: users go before what is here."),
        Parameter("dry_run", "query", bool, "Of a file: it is read and counted, and nothing is written."),
        Parameter("mapping", "query", str, "Of CSV: JSON, field to column, as `onefold import --mapping` has it."),
    ),
    idempotent=True,
    files=tuple(MEDIA_TYPES),
)


def endpoints(services: Services) -> list[Endpoint]:
    async def import_users(caller: Caller, body: bytes, key: IdempotencyKey | None) -> Accepted:
        check = partial(users.check, region=addresses.region_of(caller.options))
        return await services.acceptor.queue(caller, check, body, key, STREAM_BULK)

    queue = queueing(services, import_users, limit=MAX_BULK_BODY_BYTES)
    uploads = services.uploads

    async def post(caller: Caller, request: Request) -> Answer:
        media_type = media_type_of(request)
        if media_type not in MEDIA_TYPES:
            return await queue(caller, request)
        wanted = import_files.read(dict(request.query_params), media_type)
        body = chunks(request, uploads.bounds.time_for)
        job = await uploads.take(caller, wanted, body, length_of(request), str(request.base_url))
        return answered(202, {"job": job_of(caller, job, clock.now_us())})

    return [Endpoint("POST", "/v1/imports", PERMISSION, "default", post, _IMPORT)]
