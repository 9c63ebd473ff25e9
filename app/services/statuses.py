"""What the refusals of services are over HTTP: the one table where a named error gets a status and words.

The API and the console answer from it, each in its own form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

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
    webhooks,
)
from app.contract.limits import LIMIT_TOO_HIGH
from app.contract.merge_records import REFUSALS, TOO_LARGE, TOO_MANY_HOLDERS, UNKNOWN_PROFILE
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
    ServiceError,
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
    refusals.UnknownWebhookError: Status(404, webhooks.UNKNOWN),
    refusals.TooManyWebhooksError: Status(400, webhooks.TOO_MANY),
    refusals.TooFrequentError: Status(429, errors.RATE_LIMITED),
    refusals.UnknownAppError: Status(404, apps.UNKNOWN),
    # The status depends on the reason.
    refusals.NotUndoneError: Status(409, ""),
}


def status_of(error: ServiceError) -> Status:
    """The row of a refusal, with the words for its reason. No word of it is a client's."""
    found = STATUSES[type(error)]
    if isinstance(error, NotUndoneError):
        status, sentence = REFUSALS[error.reason]
        return replace(found, status=status, message=sentence)
    if isinstance(error, InjectedError):
        seconds = error.retry_after_seconds if error.status == 503 else 0
        return Status(error.status, testing.MESSAGES[error.status], seconds)
    if isinstance(error, JobUnderWayError):
        return replace(found, message=UNDER_WAY[error.kind])
    if isinstance(error, LimitTooHighError):
        return replace(found, message=LIMIT_TOO_HIGH % (error.name, error.requests, error.seconds))
    return found
