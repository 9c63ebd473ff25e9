"""People as operators see them: answers."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.exports.models import AliasShown, Profile

_Moment = Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])]
_Cursor = Annotated[str, Meta(min_length=1, description="There is more.")] | UnsetType


class Flags(Struct, forbid_unknown_fields=True):
    test_user: bool
    global_control_group: bool
    spam_blocked: bool


class Row(Struct, forbid_unknown_fields=True, kw_only=True):
    """A profile in a list. A field without a value is left out."""

    braze_id: str
    created_at: _Moment
    updated_at: _Moment
    user_aliases: list[AliasShown]
    flags: Flags
    external_id: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET


class Profiles(Struct, forbid_unknown_fields=True):
    profiles: list[Row]
    message: Literal["success"]
    next_cursor: _Cursor = UNSET


class Consent(Struct, forbid_unknown_fields=True, kw_only=True):
    channel: Literal["email", "sms"]
    address: Annotated[str, Meta(description="Absent while the person has none of the channel.")] | UnsetType = UNSET
    state: Literal["opted_in", "subscribed", "unsubscribed"]
    changed_at: _Moment
    subscription_group_id: Annotated[str, Meta(description="Absent for the channel as a whole.")] | UnsetType = UNSET


class Span(Struct, forbid_unknown_fields=True):
    count: int
    first: _Moment | UnsetType = UNSET
    last: _Moment | UnsetType = UNSET


class OrdersOfDay(Struct, forbid_unknown_fields=True):
    """In USD."""

    day: str
    orders: int
    revenue: float
    refunds: float


class Person(Profile, forbid_unknown_fields=True, kw_only=True):
    """What an export shows, with summaries and carts of any age, and what an export does not show."""

    updated_at: _Moment
    created_from: str
    flags: Flags
    stored_bytes: Annotated[int, Meta(ge=0)]
    deprecated_external_ids: list[str] | UnsetType = UNSET
    facebook: Any | UnsetType = UNSET
    twitter: Any | UnsetType = UNSET
    image_url: str | UnsetType = UNSET
    email_open_tracking_disabled: bool | UnsetType = UNSET
    email_click_tracking_disabled: bool | UnsetType = UNSET
    marked_email_as_spam_at: _Moment | UnsetType = UNSET
    hard_bounced_at: _Moment | UnsetType = UNSET
    phone_invalid_at: _Moment | UnsetType = UNSET
    merged_profiles: Annotated[int, Meta(ge=1, description="That were merged into it.")] | UnsetType = UNSET
    sessions: Span | UnsetType = UNSET
    purchased: Annotated[Span, Meta(description="Pieces, of all products.")] | UnsetType = UNSET
    orders_by_day: list[OrdersOfDay] | UnsetType = UNSET
    unbooked_revenue: (
        Annotated[dict[str, str], Meta(description="By currency, where there is no rate.")] | UnsetType
    ) = UNSET
    device_data: dict[str, Any] | UnsetType = UNSET
    message_data: dict[str, Any] | UnsetType = UNSET
    consents: list[Consent] | UnsetType = UNSET


class Occurrence(Struct, forbid_unknown_fields=True, kw_only=True):
    """An event, or a purchase object of `quantity` pieces."""

    id: Annotated[str, Meta(description="The id of its request, a dot, and its place in it.")]
    request_id: str
    time: _Moment
    kind: Literal["event", "purchase"]
    name: Annotated[str, Meta(description="Of an event.")] | UnsetType = UNSET
    product_id: Annotated[str, Meta(description="Of a purchase, as are the next two.")] | UnsetType = UNSET
    quantity: int | UnsetType = UNSET
    revenue: Annotated[float, Meta(description="USD.")] | UnsetType = UNSET
    app_id: str | UnsetType = UNSET
    properties: dict[str, Any] | UnsetType = UNSET


_Timeline = Annotated[list[Occurrence], Meta(description="Of the last 32 days, the last one first.")]


class Shown(Struct, forbid_unknown_fields=True):
    profile: Person
    timeline: _Timeline
    message: Literal["success"]
    next_cursor: Annotated[str, Meta(min_length=1, description="Of the timeline.")] | UnsetType = UNSET


class Timeline(Struct, forbid_unknown_fields=True):
    braze_id: str
    timeline: _Timeline
    message: Literal["success"]
    next_cursor: _Cursor = UNSET
