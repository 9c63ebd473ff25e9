"""Why a service refuses, by name. What each reason is over HTTP stands in `app.services.statuses` alone.

A body that the contract does not take is refused by the contract, with the words and the status that it documents:
`app.contract.errors.RefusedError`.
"""

from app.domain.profile import Identifier
from app.quota.bucket import Grant
from app.services.quotas import Admission


class ServiceError(Exception):
    """A service refuses; nothing is done, unless `request_id` names a request that was accepted all the same."""

    request_id = ""


class InvalidKeyError(ServiceError):
    """No live key was sent."""


class TooManyFailuresError(ServiceError):
    """An address sent too many requests without a live key. `grant` says when it may send another one."""

    def __init__(self, grant: Grant) -> None:
        super().__init__()
        self.grant = grant


class WorkspaceClosedError(ServiceError):
    """The workspace is disabled."""


class WorkspaceDeletedError(ServiceError):
    """The workspace was deleted, or is being deleted."""


class UnknownWorkspaceNameError(ServiceError):
    """The key does not belong to a workspace of this name."""


class AccessDeniedError(ServiceError):
    """The key lacks the permission, or may not be used from where it was."""


class RateLimitedError(ServiceError):
    """A bucket has no token left. `admission` says which, and when it has one."""

    def __init__(self, admission: Admission) -> None:
        super().__init__()
        self.admission = admission


class InjectedError(ServiceError):
    """Test mode: a call is answered so because somebody wanted it."""

    def __init__(self, status: int, retry_after_seconds: int) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class LimitTooHighError(ServiceError):
    """A limit would admit more than any workspace of this machine may have: `requests` in `seconds`."""

    def __init__(self, name: str, requests: int, seconds: int) -> None:
        super().__init__(name)
        self.name = name
        self.requests = requests
        self.seconds = seconds


class OverloadedError(ServiceError):
    """Too many requests are in hand."""


class BacklogFullError(ServiceError):
    """Too many accepted requests of the stream wait to be applied, or they wait too long."""


class KeyReusedError(ServiceError):
    """The idempotency key was used with another body."""


class UnavailableError(ServiceError):
    """The database failed, or took too long; what was asked for may have happened nevertheless."""


class TimedOutError(ServiceError):
    """An accepted request was not applied in time: it stays queued."""


class NotAppliedError(ServiceError):
    """An accepted request could not be applied, which is a bug of ours: it is kept as a dead letter."""


class DeletionsPendingError(ServiceError):
    """Deletions wait to be applied, and dead letters cannot be sent again before."""


class UnknownRequestError(ServiceError):
    """The workspace was never given this request id."""


class UnknownProfileError(ServiceError):
    """The workspace has, and had, no profile of this identifier; None is one that nobody can have."""

    def __init__(self, key: Identifier | None = None) -> None:
        super().__init__()
        self.key = key


class UnknownJobError(ServiceError):
    """The workspace has no job of this id."""


class UnknownRunError(ServiceError):
    """The workspace has no run of merge rules of this id."""


class UnknownFileError(ServiceError):
    """Nothing is served at this address. `guessed`: and nothing ever was."""

    def __init__(self, *, guessed: bool = True) -> None:
        super().__init__()
        self.guessed = guessed


class JobUnderWayError(ServiceError):
    """A job of this kind is queued or running for the same target."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class TooManyJobsError(ServiceError):
    """The workspace has as many queued and running jobs as it may have."""


class StorageFullError(ServiceError):
    """The files of the workspace take up as much as they may."""


class UnknownSegmentError(ServiceError):
    """The workspace has no segment of this id."""


class SegmentTooSlowError(ServiceError):
    """Counting a segment took longer than an answer may wait."""


class SegmentTooBroadError(ServiceError):
    """A pattern of a segment matches more different texts than are looked at."""


class TooManyHoldersError(ServiceError):
    """More profiles have the identifier than are looked at."""


class ProfilesTooLargeError(ServiceError):
    """The profiles of several merges are too large to be looked at together."""


class GroupTakenError(ServiceError):
    """Another subscription group of the workspace has this id."""


class TooManyGroupsError(ServiceError):
    """The workspace has as many subscription groups as it may have."""


class UnknownGroupError(ServiceError):
    """No subscription group of the workspace has this id."""


class TooManyAppsError(ServiceError):
    """The workspace has as many apps as it may have."""


class UnknownAppError(ServiceError):
    """No app of the workspace has this id."""


class UnknownAlertError(ServiceError):
    """The workspace has no alert of this id."""


class TooManyAlertsError(ServiceError):
    """The workspace has as many alerts as it may have."""


class TooManyMessagesError(ServiceError):
    """The alerts of the workspace have sent as many messages in the last hour as they may."""


class AlertChangedError(ServiceError):
    """The alert was changed, or moved on, at the same moment."""


class UnknownWebhookError(ServiceError):
    """The workspace has no webhook of this id."""


class TooManyWebhooksError(ServiceError):
    """The workspace has as many webhooks as it may have."""


class TooFrequentError(ServiceError):
    """A device, an address or an app sends too often. `grant` says when it may again."""

    def __init__(self, grant: Grant) -> None:
        super().__init__()
        self.grant = grant


class NotUndoneError(ServiceError):
    """A merge was not undone. `reason` is one of app.contract.merge_records.REFUSALS."""

    def __init__(self, reason: str, request_id: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.request_id = request_id
