"""Refusals for the log of requests: what an answer says of them, without a value of a client."""

from fastapi import Request

from app.api.answers import Answer
from app.api.bodies import RECEIVED
from app.api.refusing import words_of
from app.contract.errors import INTERNAL, RefusedError
from app.services.caller import Caller
from app.services.refusals import ServiceError
from app.services.registry import Services


def refused(
    services: Services, caller: Caller | None, path: str, request: Request, error: RefusedError | ServiceError
) -> None:
    """A request was refused. Without a live key it is nobody's, and metrics alone count it.

    `path` is that of the endpoint, as it stands in the documentation.
    """
    if caller is None:
        return
    status, words = words_of(error)
    place = caller.place(error.request_id) if isinstance(error, ServiceError) and error.request_id else None
    errors = error.errors if isinstance(error, RefusedError) else ()
    services.refused_requests.note(caller, path, status, words, errors, _body(request), place)


def failed(services: Services, caller: Caller | None, path: str, request: Request) -> None:
    """A request is answered 500."""
    if caller is not None:
        services.refused_requests.note(caller, path, 500, INTERNAL, body=_body(request))


def partly(services: Services, caller: Caller, path: str, request: Request, answer: Answer) -> None:
    """A request was accepted without some of its objects."""
    if answer.errors:
        place = caller.place(answer.request_id)
        services.refused_requests.note(caller, path, answer.status, "", answer.errors, _body(request), place)


def _body(request: Request) -> bytes | None:
    found = request.scope.get(RECEIVED)
    return found if isinstance(found, bytes) else None
