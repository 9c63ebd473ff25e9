"""What the refusals of services are over HTTP: the one place where a named error gets a status and words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from app.contract import (
    alerts,
    apps,
    errors,
    file_exports,
    idempotency,
    jobs,
    merge_rules,
    segment_requests,
    subscription_groups,
    testing,
)
from app.contract.errors import RefusedError
from app.contract.limits import LIMIT_TOO_HIGH
from app.contract.merge_records import REFUSALS, TOO_LARGE, TOO_MANY_HOLDERS, UNKNOWN_PROFILE, unknown_profile
from app.domain.jobs import (
    ARCHIVE,
    DELETE_SEGMENT,
    EXPORT_CONTROL_GROUP,
    EXPORT_SEGMENT,
    MERGE_RUN,
    MERGE_UNDO,
    SEGMENT_PREVIEW,
)
from app.services import refusals
from app.services.refusals import (
    InjectedError,
    JobUnderWayError,
    LimitTooHighError,
    NotUndoneError,
    RateLimitedError,
    ServiceError,
    TooFrequentError,
    TooManyFailuresError,
)

#: What is said where a job of a kind is under way.
UNDER_WAY: Final = {
    EXPORT_SEGMENT: file_exports.UNDER_WAY,
    EXPORT_CONTROL_GROUP: file_exports.UNDER_WAY_CONTROL,
    ARCHIVE: "An archive of this profile is being made",
    MERGE_RUN: merge_rules.RUN_UNDER_WAY,
    MERGE_UNDO: merge_rules.UNDO_UNDER_WAY,
    SEGMENT_PREVIEW: "This preview is being made",
    DELETE_SEGMENT: "A deletion of this segment is already under way",
}
#: Seconds until the request would be admitted.
RETRY_AFTER: Final = "X-RateLimit-Retry-After"


@dataclass(frozen=True, slots=True)
class Status:
    """How a refusal is answered."""

    status: int
    message: str
    #: The value of Retry-After in seconds; 0 = there is no such header.
    retry_after: int = 0


#: A transient fault of ours is 503 with Retry-After, never 4xx: a client gives up for good on any 4xx.
STATUSES: Final[Mapping[type[ServiceError], Status]] = {
    refusals.InvalidKeyError: Status(401, errors.INVALID_KEY),
    refusals.TooManyFailuresError: Status(429, errors.RATE_LIMITED),
    refusals.WorkspaceClosedError: Status(403, errors.FORBIDDEN),
    refusals.WorkspaceDeletedError: Status(403, errors.WORKSPACE_DELETED),
    refusals.UnknownWorkspaceNameError: Status(404, errors.UNKNOWN_WORKSPACE),
    refusals.AccessDeniedError: Status(403, errors.ACCESS_DENIED),
    refusals.RateLimitedError: Status(429, errors.RATE_LIMITED),
    refusals.OverloadedError: Status(503, errors.OVERLOADED, 1),
    refusals.BacklogFullError: Status(503, errors.BACKLOG_FULL, 5),
    refusals.KeyReusedError: Status(422, idempotency.REUSED),
    refusals.UnavailableError: Status(503, errors.UNAVAILABLE, 1),
    refusals.TimedOutError: Status(503, errors.TIMED_OUT, 1),
    # No retry of the next minute will find it mended.
    refusals.NotAppliedError: Status(503, errors.NOT_APPLIED, 60),
    refusals.DeletionsPendingError: Status(503, errors.DELETIONS_PENDING, 1),
    refusals.UnknownRequestError: Status(404, errors.UNKNOWN_REQUEST),
    refusals.UnknownProfileError: Status(404, UNKNOWN_PROFILE),
    refusals.UnknownSegmentError: Status(404, segment_requests.UNKNOWN),
    refusals.SegmentTooSlowError: Status(503, segment_requests.TOO_SLOW, 60),
    refusals.SegmentTooBroadError: Status(400, segment_requests.TOO_BROAD),
    # Status and words are those that were asked for.
    refusals.InjectedError: Status(500, errors.INTERNAL),
    # The message names the limit.
    refusals.LimitTooHighError: Status(400, LIMIT_TOO_HIGH),
    refusals.TooManyHoldersError: Status(400, TOO_MANY_HOLDERS),
    refusals.UnknownJobError: Status(404, jobs.UNKNOWN_JOB),
    refusals.UnknownRunError: Status(404, merge_rules.UNKNOWN_RUN),
    refusals.UnknownFileError: Status(404, jobs.UNKNOWN_FILE),
    # The words depend on the kind.
    refusals.JobUnderWayError: Status(400, ""),
    refusals.TooManyJobsError: Status(400, jobs.TOO_MANY_JOBS),
    refusals.StorageFullError: Status(400, jobs.STORAGE_FULL),
    refusals.ProfilesTooLargeError: Status(400, TOO_LARGE),
    refusals.GroupTakenError: Status(409, subscription_groups.TAKEN),
    refusals.TooManyGroupsError: Status(400, subscription_groups.TOO_MANY),
    refusals.UnknownGroupError: Status(404, subscription_groups.UNKNOWN),
    refusals.TooManyAppsError: Status(400, apps.TOO_MANY),
    refusals.UnknownAlertError: Status(404, alerts.UNKNOWN),
    refusals.TooManyAlertsError: Status(400, alerts.TOO_MANY),
    refusals.TooManyMessagesError: Status(400, alerts.TOO_MANY_MESSAGES),
    refusals.AlertChangedError: Status(409, alerts.CHANGED),
    refusals.TooFrequentError: Status(429, errors.RATE_LIMITED),
    refusals.UnknownAppError: Status(404, apps.UNKNOWN),
    # The status depends on the reason.
    refusals.NotUndoneError: Status(409, ""),
}


def answer_of(error: ServiceError) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers."""
    found = STATUSES[type(error)]
    headers = {"Retry-After": str(found.retry_after)} if found.retry_after else {}
    if isinstance(error, NotUndoneError):
        status, sentence = REFUSALS[error.reason]
        return status, msgspec.json.encode({"message": sentence, "reason": error.reason}), headers
    document = {"message": found.message}
    if isinstance(error, InjectedError):
        headers = {"Retry-After": str(error.retry_after_seconds)} if error.status == 503 else {}
        return error.status, msgspec.json.encode({"message": testing.MESSAGES[error.status]}), headers
    if isinstance(error, refusals.UnknownProfileError):
        document["message"] = unknown_profile(error.key)
    if isinstance(error, JobUnderWayError):
        document["message"] = UNDER_WAY[error.kind]
    if isinstance(error, LimitTooHighError):
        document["message"] = LIMIT_TOO_HIGH % (error.name, error.requests, error.seconds)
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
    found = STATUSES[type(error)]
    if isinstance(error, NotUndoneError):
        return REFUSALS[error.reason]
    if isinstance(error, InjectedError):
        return error.status, testing.MESSAGES[error.status]
    if isinstance(error, JobUnderWayError):
        return found.status, UNDER_WAY[error.kind]
    if isinstance(error, LimitTooHighError):
        return found.status, LIMIT_TOO_HIGH % (error.name, error.requests, error.seconds)
    return found.status, found.message


def passing(error: RefusedError | ServiceError) -> bool:
    """Whether the first request with an idempotency key may have met none: limits change, the backlog grows."""
    return error.status == 400 if isinstance(error, RefusedError) else isinstance(error, refusals.BacklogFullError)


def whole_seconds(milliseconds: int) -> int:
    """Rounded up: whoever waits that long has waited long enough."""
    return -(-milliseconds // 1000)
