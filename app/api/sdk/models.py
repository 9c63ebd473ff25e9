"""SDK data: bodies and answers. docs/sdk.md says more of each record."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.refusals import ObjectRefusal

_Number = Annotated[int, Meta(ge=1, le=2**53 - 1)]
_Moment = Annotated[float, Meta(ge=0)]


class Record(Struct):
    """What happened on a device; further members depend on the type."""

    type: Literal[
        "session_start", "session_end", "device", "attributes", "event", "purchase", "alias", "push_token",
        "change_user", "logout", "subscription_group",
    ]  # fmt: skip
    seq: Annotated[_Number, Meta(description="Of the device, one more for each record. It decides the order.")]
    at: Annotated[_Moment, Meta(description="The device's clock, in milliseconds since 1970.")] | UnsetType = UNSET
    ago: Annotated[_Moment, Meta(description="Milliseconds before the sending, by a clock that never steps.")] | (
        UnsetType
    ) = UNSET


class Batch(Struct):
    device_id: Annotated[str, Meta(min_length=8, max_length=255)]
    batch: Annotated[_Number, Meta(description="Of the device, one more for each batch. It is applied once.")]
    records: Annotated[list[Record], Meta(min_length=1)]
    sdk_key: Annotated[str, Meta(description="Where the header cannot be set.")] | UnsetType = UNSET
    sent_at: Annotated[_Moment, Meta(description="The device's clock at the sending.")] | UnsetType = UNSET
    app_version: Annotated[str, Meta(max_length=255)] | UnsetType = UNSET
    dropped: Annotated[int, Meta(description="Records that the device has lost since.")] | UnsetType = UNSET
    signature: Any = UNSET


class Clock(Struct, forbid_unknown_fields=True):
    skew_ms: Annotated[
        int | None, Meta(description="By how much the device's clock is behind; null without `sent_at`.")
    ]
    bounded: Annotated[int, Meta(ge=0, description="Records whose time was moved between its neighbours and now.")]


class Taken(Struct, forbid_unknown_fields=True):
    records_processed: Annotated[int, Meta(ge=1)]
    clock: Clock
    message: Literal["success"]
    errors: Annotated[list[ObjectRefusal], Meta(min_length=1)] | UnsetType = UNSET
