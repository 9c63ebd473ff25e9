"""Deleting everybody in a segment, by a job that waits some days. An endpoint of our own."""

from typing import Final

from fastapi import Request

from app.adapters import clock
from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.api.jobs import answers
from app.api.refusals import Refusal
from app.api.segment_deletions.models import Begun
from app.services.caller import Caller
from app.services.registry import Services

PERMISSION: Final = "admin.segment_deletions"

_BEGIN: Final = Documentation(
    title="Delete everybody in a segment",
    tag="Segments",
    text="A job marks the members at once, and deletes those who are in the segment when the waiting period is over. "
    "`DELETE /v1/jobs/{id}` cancels it until then. Marked people are not merged.",
    answers={201: Begun, 404: Refusal},
    parameters=(Parameter("segment_id", "path", str, "The segment's `id`."),),
)


def endpoints(services: Services) -> list[Endpoint]:
    async def begin(caller: Caller, request: Request) -> Answer:
        job = await services.segment_deletions.begin(caller, request.path_params["segment_id"])
        return answered(201, {"job": answers.job_of(caller, job, clock.now_us())})

    path = "/v1/segments/{segment_id}/deletions"
    return [Endpoint("POST", path, PERMISSION, "default", begin, _BEGIN)]
