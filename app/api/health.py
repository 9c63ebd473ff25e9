"""Probes of the process: without a key, for load balancers."""

from fastapi import Request, Response

from app.api.answers import Answer, refuse, respond
from app.api.documentation import Documentation
from app.api.endpoint import Probe
from app.api.refusals import Refusal
from app.api.requests.models import Healthy
from app.contract.errors import RefusedError
from app.services.registry import Services


def probes(services: Services) -> list[Probe]:
    async def livez(_request: Request) -> Response:
        return _success()

    async def readyz(_request: Request) -> Response:
        problem = await services.readiness()
        if problem is None:
            return _success()
        return refuse(RefusedError(503, problem, headers={"Retry-After": "1"}), None)

    alive = Documentation("Does the process answer?", "Health", "Asks nobody else.", {200: Healthy})
    ready = Documentation(
        "Can the process serve?",
        "Health",
        "503 while the database does not answer, or has an older schema.",
        {200: Healthy, 503: Refusal},
    )
    return [Probe("/livez", livez, alive), Probe("/readyz", readyz, ready)]


def _success() -> Response:
    return respond(Answer(200, b'{"message":"success"}'), None)
