"""Refusals of services as JSON answers of the API."""

from typing import Final

import msgspec

from app.contract.errors import RefusedError
from app.contract.merge_records import unknown_profile
from app.services.refusals import (
    BacklogFullError,
    NotUndoneError,
    RateLimitedError,
    ServiceError,
    TooFrequentError,
    TooManyFailuresError,
    UnknownProfileError,
)
from app.services.statuses import status_of

#: Seconds until the request would be admitted.
RETRY_AFTER: Final = "X-RateLimit-Retry-After"


def answer_of(error: ServiceError) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers."""
    found = status_of(error)
    headers = {"Retry-After": str(found.retry_after)} if found.retry_after else {}
    document = {"message": found.message}
    if isinstance(error, NotUndoneError):
        document["reason"] = error.reason
    if isinstance(error, UnknownProfileError):
        document["message"] = unknown_profile(error.key)
    if isinstance(error, RateLimitedError | TooFrequentError | TooManyFailuresError):
        grant = error.admission.grant if isinstance(error, RateLimitedError) else error.grant
        document["limit"] = grant.name
        seconds = str(max(1, whole_seconds(grant.retry_after_ms)))
        headers = {"Retry-After": seconds, RETRY_AFTER: seconds}
    return found.status, msgspec.json.encode(document), headers


def words_of(error: RefusedError | ServiceError) -> tuple[int, str]:
    """(status, what is wrong) for logs: no word of it is a client's."""
    if isinstance(error, RefusedError):
        return error.status, error.message
    found = status_of(error)
    return found.status, found.message


def passing(error: RefusedError | ServiceError) -> bool:
    """Whether the first request with an idempotency key may have met none: limits change, the backlog grows."""
    return error.status == 400 if isinstance(error, RefusedError) else isinstance(error, BacklogFullError)


def whole_seconds(milliseconds: int) -> int:
    """Rounded up: whoever waits that long has waited long enough."""
    return -(-milliseconds // 1000)
