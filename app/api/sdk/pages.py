"""Requests with the public key of an app, from pages of any origin: key, origin, quotas, then the action."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response

from app.api import noting
from app.api.answers import Answer, Sending, refuse, respond
from app.api.bodies import PLACE
from app.api.endpoint import client_of
from app.api.serving import CALLER
from app.contract.errors import RefusedError
from app.services import budget
from app.services.accepting.gate import Place
from app.services.keys import Address
from app.services.networks import origin as origin_of
from app.services.quotas import Admission
from app.services.refusals import ServiceError
from app.services.registry import Services
from app.services.sdk import GROUP, Known

_EXPOSED: Final = "Retry-After, X-Request-Id, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"


@dataclass(frozen=True, slots=True)
class Pages:
    """How an endpoint for pages and devices is served."""

    services: Services
    #: Path of the endpoint.
    path: str
    #: The key in the head of a request.
    key_of: Callable[[Request], str | None]
    #: The key in its body, for those that cannot set a header; None where no body is taken.
    key_in_body: Callable[[Request], Awaitable[str | None]] | None
    #: Reads the body and answers. Raises RefusedError or ServiceError.
    action: Callable[[Known, Request], Awaitable[Answer]]

    async def handle(self, request: Request) -> Response:
        origin = request.headers.get("origin")
        with budget.answering(self.services.answer_seconds):
            try:
                place = request.scope[PLACE] = self.services.gate.enter()
            except ServiceError as refused:
                return allowed(refuse(refused, None), origin)
            try:
                return Sending(await self._answer(request, place, origin), place)
            except BaseException:
                place.leave()
                raise

    async def _answer(self, request: Request, place: Place, origin: str | None) -> Response:
        services, gateway = self.services, self.services.sdk
        admission: Admission | None = None
        known: Known | None = None

        def client() -> Address | None:
            return client_of(request, services)

        try:
            key = self.key_of(request)
            if key is None and self.key_in_body is not None:
                services.keys.refuse_flood(client)
                with place.stranger(origin_of(client())):
                    key = await self.key_in_body(request)
            known = await gateway.authenticate(key, client)
            request.scope[CALLER] = known.caller
            budget.charge(known.caller.workspace_id)
            place.belongs_to(known.caller.workspace_id)
            gateway.admit(known, origin, client)
            admission = await services.acceptor.take(known.caller, GROUP)
            found = await self.action(known, request)
            noting.partly(services, known.caller, self.path, request, found)
            place.hold(len(found.body))
            return allowed(respond(found, admission), origin)
        except (RefusedError, ServiceError) as refused:
            noting.refused(services, None if known is None else known.caller, self.path, request, refused)
            response = refuse(refused, admission)
            # A page of another origin does not even learn why.
            return response if known is not None and not gateway.allows(known, origin) else allowed(response, origin)
        except Exception:
            noting.failed(services, None if known is None else known.caller, self.path, request)
            raise


def allowed(response: Response, origin: str | None) -> Response:
    """The answer, as a page of this origin may read it. Cookies are neither needed nor allowed."""
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        response.headers["Vary"] = "Origin"
    return response
