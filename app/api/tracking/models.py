"""Calls of tracking SDKs: bodies and answers. docs/tracking.md says what comes of each member."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.refusals import ObjectRefusal

_Object = dict[str, Any]
_Members = _Object | UnsetType | None
_Id = str | int | None
_Time = str | float | None


class Call(Struct, rename="camel"):
    """One call. Which members it needs depends on its type."""

    user_id: Annotated[_Id, Meta(description="The external id.")] | UnsetType = UNSET
    anonymous_id: Annotated[_Id, Meta(description="A device of the app.")] | UnsetType = UNSET
    message_id: Annotated[_Id, Meta(description="A call with it counts once in seven days.")] | UnsetType = UNSET
    timestamp: Annotated[_Time, Meta(description="When it happened, by the clock of the sender.")] | UnsetType = UNSET
    original_timestamp: _Time | UnsetType = UNSET
    sent_at: Annotated[_Time, Meta(description="When it was sent, by the same clock.")] | UnsetType = UNSET
    event: Annotated[str, Meta(description="Of a track call: its name.")] | UnsetType = UNSET
    name: Annotated[str | None, Meta(description="Of a page or screen call.")] | UnsetType = UNSET
    properties: _Members = UNSET
    traits: Annotated[_Members, Meta(description="Of an identify or group call.")] = UNSET
    group_id: str | int | UnsetType = UNSET
    previous_id: Annotated[str | int, Meta(description="Of an alias call: the anonymous id.")] | UnsetType = UNSET
    context: _Members = UNSET
    write_key: Annotated[str, Meta(description="Where no header can be set.")] | UnsetType = UNSET


class TypedCall(Call, kw_only=True, rename="camel"):
    type: Literal["identify", "track", "page", "screen", "group", "alias"]


class Batch(Struct, rename="camel"):
    batch: Annotated[list[TypedCall], Meta(min_length=1)]
    write_key: str | UnsetType = UNSET
    sent_at: _Time | UnsetType = UNSET
    context: Annotated[_Members, Meta(description="Behind that of each call.")] = UNSET


class Taken(Struct, forbid_unknown_fields=True):
    """All that these SDKs look at is the status."""

    success: Literal[True]
    ok: Literal[True]
    message: Literal["success"]
    errors: Annotated[list[ObjectRefusal], Meta(min_length=1)] | UnsetType = UNSET


class SegmentSettings(Struct):
    """What Segment's SDKs fetch: where to send, and that there is nothing else to load."""

    integrations: _Object
    message: Literal["success"]


class SourceConfig(Struct):
    """What RudderStack's SDKs fetch: that there is a source, without destinations."""

    source: _Object
    message: Literal["success"]
