"""What became of a request: an endpoint of our own."""

from fastapi import Request

from app.accept import Answer
from app.access import KeyRecord
from app.api.endpoints import Endpoint
from app.contract.errors import RefusedError
from app.services import Services


def endpoints(services: Services) -> list[Endpoint]:
    async def status(caller: KeyRecord, request: Request) -> Answer:
        return await services.reader.request_status(caller, request.path_params["id"], _wait(request))

    return [Endpoint("GET", "/v1/requests/{id}", None, "default", status)]


def _wait(request: Request) -> float:
    text = request.query_params.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        raise RefusedError(400, "'wait' must be a number of seconds") from None
    if not 0 <= seconds <= 3600:
        raise RefusedError(400, "'wait' must be a number of seconds")
    return seconds
