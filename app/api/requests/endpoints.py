"""What became of a request: an endpoint of our own."""

from typing import Annotated, Final

from fastapi import Request
from msgspec import Meta

from app.api.answers import Answer, answered
from app.api.documentation import Documentation, Parameter
from app.api.endpoint import Endpoint
from app.api.refusals import Refusal
from app.api.requests import answers
from app.api.requests.models import RequestStatus
from app.contract.errors import RefusedError
from app.services.caller import Caller
from app.services.registry import Services

_STATUS: Final = Documentation(
    title="What became of a request",
    tag="Requests",
    text="`skipped` names what of it had no effect, and why. An id that the workspace was never given is 404.",
    answers={200: RequestStatus, 404: Refusal},
    parameters=(
        Parameter("id", "path", str, "`X-Request-Id` of the answer that accepted it."),
        Parameter(
            "wait",
            "query",
            Annotated[float, Meta(ge=0, le=3600)],
            "Seconds to wait for the request to be applied; more than 30 count as 30.",
        ),
    ),
)


def endpoints(services: Services) -> list[Endpoint]:
    async def status(caller: Caller, request: Request) -> Answer:
        identifier = request.path_params["id"]
        found = await services.reader.request_status(caller, identifier, _wait(request))
        return answered(200, answers.status(caller, identifier, found))

    return [Endpoint("GET", "/v1/requests/{id}", None, "default", status, _STATUS)]


def _wait(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        raise RefusedError(400, "'wait' must be a number of seconds") from None
    if not 0 <= seconds <= 3600:
        raise RefusedError(400, "'wait' must be a number of seconds")
    return seconds
