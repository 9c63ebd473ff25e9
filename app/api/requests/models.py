"""What became of a request."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType


class Skipped(Struct, forbid_unknown_fields=True):
    """Something of an accepted request that had no effect: an object, or one field of it."""

    input_array: str
    index: Annotated[int, Meta(ge=0)]
    reason: Annotated[str, Meta(examples=["profile_not_found", "invalid_value"])]
    field: str | UnsetType = UNSET


class RequestStatus(Struct, forbid_unknown_fields=True):
    id: str
    status: Literal["queued", "applied", "dead"]
    accepted_at: Annotated[str | None, Meta(description="null once the request has aged out of the inbox.")]
    skipped: list[Skipped]
    message: Literal["success"]
    reason: Annotated[str, Meta(description="Class of the error of a dead request.")] | UnsetType = UNSET
    replayed_as: Annotated[str, Meta(description="The request that a dead one was sent as again.")] | UnsetType = UNSET


class Healthy(Struct, forbid_unknown_fields=True):
    message: Literal["success"]
