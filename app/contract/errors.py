"""Answers that are not a success: every one is a JSON object with a `message` (spec limits-and-errors.md 4 and 5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

PARSE_ERROR: Final = "Error while parsing request body. Please check your syntax."
INVALID_KEY: Final = "Invalid API key"
ACCESS_DENIED: Final = "Access Denied"
FORBIDDEN: Final = "Forbidden"
WORKSPACE_DELETED: Final = "The workspace was deleted"
UNKNOWN_WORKSPACE: Final = "The key does not belong to a workspace of this name"
INVALID_URL: Final = "Invalid URL"
TOO_LARGE: Final = "Request Entity Too Large"
UNSUPPORTED_MEDIA_TYPE: Final = "Unsupported Media Type"
UNSUPPORTED_ENCODING: Final = "Unsupported Content-Encoding: gzip, or none"
RATE_LIMITED: Final = "Rate Limited"
INTERNAL: Final = "Internal Server Error"
UNAVAILABLE: Final = "Service Unavailable"
OVERLOADED: Final = "Too many requests at once"
BACKLOG_FULL: Final = "Too many accepted requests wait to be applied"
TIMEOUT: Final = "Request Timeout"
TIMED_OUT: Final = "timeout"
BLACKLISTED: Final = "provided external_id is blacklisted and disallowed"
BLACKLISTED_CODE: Final = "BLACKLISTED_EXTERNAL_USER_ID"
NOT_APPLIED: Final = "The request is kept, but could not be applied"
UNKNOWN_REQUEST: Final = "Unknown request id"
DELETIONS_PENDING: Final = "Deletions wait to be applied; nothing can be sent again before"


@dataclass(frozen=True, slots=True)
class ObjectError:
    """Why one object of a request was refused; the rest of the request goes on."""

    type: str
    input_array: str
    index: int
    code: str = ""
    #: The recommended e-commerce event that it was to be, for counting. Not shown.
    event: str = ""

    def as_json(self) -> dict[str, str | int]:
        entry: dict[str, str | int] = {"type": self.type, "input_array": self.input_array, "index": self.index}
        if self.code:
            entry["code"] = self.code
        return entry


class RefusedError(Exception):
    """The whole request is refused with this status, message and list of object errors; nothing is processed."""

    def __init__(
        self, status: int, message: str, errors: Sequence[ObjectError] = (), headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = headers or {}

    def body(self) -> bytes:
        """The JSON answer. A body that could not be read says so under `error` too, as old clients expect."""
        document: dict[str, object] = {"message": self.message}
        if self.message == PARSE_ERROR:
            document["error"] = self.message
        if self.errors:
            document["errors"] = [error.as_json() for error in self.errors]
        return msgspec.json.encode(document)


class ObjectRefusedError(Exception):
    """One object of a request is refused: a sentence, and the upper-case code where one is documented."""

    def __init__(self, type_: str, code: str = "") -> None:
        super().__init__(type_)
        self.type = type_
        self.code = code
