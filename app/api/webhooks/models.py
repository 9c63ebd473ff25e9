"""Change webhooks: bodies and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

_Url = Annotated[str, Meta(min_length=1, max_length=2_048)]
_Event = Literal[
    "profile.deleted",
    "profile.merged",
    "profile.merge_undone",
    "segment.entered",
    "segment.left",
    "profile.created",
    "profile.identified",
    "subscription.changed",
    "profile.updated",
]
_Events = Annotated[list[_Event], Meta(min_length=1)]
_Segment = Annotated[
    str | None,
    Meta(description="It is told only of people who are in this segment, or were until now; null = of everybody."),
]
_Include = Annotated[Literal["profile"] | None, Meta(description="`profile`: messages hold the whole profile.")]
_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]
_Type = Literal[
    "profile.deleted",
    "profile.merged",
    "profile.merge_undone",
    "segment.entered",
    "segment.left",
    "profile.created",
    "profile.identified",
    "subscription.changed",
    "profile.updated",
    "webhook.test",
]


class NewWebhook(Struct, forbid_unknown_fields=True):
    url: _Url
    events: _Events
    segment_id: _Segment | UnsetType = UNSET
    include: _Include | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookChange(Struct, forbid_unknown_fields=True):
    """Members that are left out stay as they are."""

    url: _Url | UnsetType = UNSET
    events: _Events | UnsetType = UNSET
    segment_id: _Segment | UnsetType = UNSET
    include: _Include | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Webhook(Struct, forbid_unknown_fields=True):
    id: str
    url: str
    events: list[_Event]
    segment_id: _Segment
    include: Literal["profile"] | None
    enabled: bool
    created_at: _Moment
    created_by: str
    delivered_at: Annotated[_Moment | None, Meta(description="When the last message was taken.")]
    failures: Annotated[int, Meta(description="Attempts that failed since then.")]
    error: Annotated[str, Meta(description="Why the last one failed; empty = it did not.")]
    dropped: Annotated[int, Meta(description="Messages that went unsent: they were too old, or too many.")]


class OneWebhook(Webhook, forbid_unknown_fields=True, kw_only=True):
    message: Literal["success"]


class WithSecret(Webhook, forbid_unknown_fields=True, kw_only=True):
    secret: Annotated[str, Meta(description="What messages are signed with. It is not shown again.")]
    message: Literal["success"]


class AllWebhooks(Struct, forbid_unknown_fields=True):
    webhooks: list[Webhook]
    message: Literal["success"]


class Deleted(Struct, forbid_unknown_fields=True):
    message: Literal["success"]


class Tested(Struct, forbid_unknown_fields=True):
    id: Annotated[str, Meta(description="The `webhook-id` of the message.")]
    message: Literal["success"]


class Replayed(Struct, forbid_unknown_fields=True):
    replayed: Annotated[int, Meta(description="How many messages are sent again.")]
    message: Literal["success"]


class Message(Struct, forbid_unknown_fields=True):
    id: str
    at: _Moment
    types: list[_Type]
    braze_id: str | None
    state: Annotated[Literal["due", "dead"], Meta(description="`dead`: all attempts failed.")]
    attempts: int
    error: Annotated[str, Meta(description="Why the last attempt failed.")]
    due_at: _Moment | None


class Messages(Struct, forbid_unknown_fields=True):
    messages: list[Message]
    message: Literal["success"]
