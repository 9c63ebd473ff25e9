"""Messages, and what is told of addresses: bodies and answers."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.identifiers import Addressed, Time
from app.api.refusals import ObjectRefusal

Emails = Annotated[list[str], Meta(min_length=1, max_length=50)] | str
_Id = Annotated[str, Meta(min_length=1, max_length=255)]
_Listed = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000$")]


class EmailsBody(Struct):
    email: Emails


class NumbersBody(Struct):
    phone_numbers: Annotated[list[str], Meta(min_length=1, max_length=50, description="In E.164.")]


class HardBounce(Struct, forbid_unknown_fields=True):
    email: str
    hard_bounced_at: _Listed


class HardBounces(Struct, forbid_unknown_fields=True):
    emails: Annotated[list[HardBounce], Meta(max_length=500)]
    message: Literal["success"]


class Unsubscribe(Struct, forbid_unknown_fields=True):
    email: str
    unsubscribed_at: _Listed


class Unsubscribes(Struct, forbid_unknown_fields=True):
    emails: Annotated[list[Unsubscribe], Meta(max_length=500)]
    message: Literal["success"]


class InvalidNumber(Struct, forbid_unknown_fields=True):
    phone: str
    invalid_detected_at: _Listed
    reason: Literal["provider_error", "deactivated"]


class InvalidNumbers(Struct, forbid_unknown_fields=True):
    sms: Annotated[list[InvalidNumber], Meta(max_length=500)]
    message: Literal["success"]


class AddressEvent(Addressed):
    """An e-mail address for the first three, a number in E.164 for the fourth, any identifier for an uninstall."""

    type: Literal["hard_bounce", "spam", "unsubscribe", "invalid_phone", "uninstall"]
    time: Annotated[Time, Meta(description="Left out, it is now.")] | UnsetType = UNSET
    reason: Literal["provider_error", "deactivated"] | UnsetType = UNSET
    app_id: Annotated[str, Meta(description="Of `uninstall`: the app that is gone; any when left out.")] | UnsetType = (
        UNSET
    )


class AddressEvents(Struct):
    events: Annotated[list[AddressEvent], Meta(min_length=1, max_length=500)]


class EventsAccepted(Struct, forbid_unknown_fields=True):
    events_processed: Annotated[int, Meta(ge=1)]
    message: Literal["success"]
    errors: list[ObjectRefusal] | UnsetType = UNSET


class Message(Addressed):
    """A message that a person got, something that the person did with one, or a step in a canvas (a workflow)."""

    type: Literal["received", "opened", "clicked", "converted", "entered", "exited"]
    channel: Literal["email", "push", "sms", "whatsapp", "in_app_message", "content_card", "webhook"] | UnsetType = (
        UNSET
    )
    id: (
        Annotated[_Id, Meta(description="Of the message or the engagement: the same again is no other one.")]
        | UnsetType
    ) = UNSET
    time: Annotated[Time, Meta(description="Left out, it is now.")] | UnsetType = UNSET
    campaign_id: _Id | UnsetType = UNSET
    canvas_id: _Id | UnsetType = UNSET


class MessagesBody(Struct):
    messages: Annotated[list[Message], Meta(min_length=1, max_length=500)]


class MessagesAccepted(Struct, forbid_unknown_fields=True):
    messages_processed: Annotated[int, Meta(ge=1)]
    message: Literal["success"]
    errors: list[ObjectRefusal] | UnsetType = UNSET


class Summary(Struct, forbid_unknown_fields=True):
    id: str
    last: dict[str, str]


class Known(Struct, forbid_unknown_fields=True):
    id: str
    time: str
    kind: str
    campaign_id: str | UnsetType = UNSET
    canvas_id: str | UnsetType = UNSET


class MessagesOf(Struct, forbid_unknown_fields=True):
    braze_id: str
    last: Annotated[
        dict[str, str], Meta(description="When last, by kind.", examples=[{"email_opened": "2026-02-10T09:15:00.000Z"}])
    ]
    campaigns: list[Summary]
    canvases: list[Summary]
    messages: Annotated[list[Known], Meta(description="The newest first.")]
    message: Literal["success"]
