"""Attributes, events and purchases, as they are sent, and the counters of the answer."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.api.identifiers import Addressed, Name, Text, Time
from app.api.refusals import ObjectRefusal

_Flag = bool | Literal["true", "false"]
_State = Literal["subscribed", "unsubscribed", "opted_in"]


class Location(Struct):
    longitude: Annotated[float, Meta(ge=-180, le=180)]
    latitude: Annotated[float, Meta(ge=-90, le=90)]


class Attributes(Addressed, kw_only=True):
    """Reserved fields of a profile; any other member is a custom attribute. `null` clears a field."""

    update_existing_only: _Flag | None = field(name="_update_existing_only", default=None)
    merge_objects: _Flag | None = field(name="_merge_objects", default=None)
    first_name: Text | None = None
    last_name: Text | None = None
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2, or a name.")] | None = None
    language: Annotated[str, Meta(description="ISO 639-1.")] | None = None
    time_zone: Annotated[str, Meta(description="A name of the IANA database.")] | None = None
    home_city: Text | None = None
    dob: Annotated[str, Meta(description="YYYY-MM-DD.", examples=["1980-12-21"])] | None = None
    gender: Annotated[str, Meta(description="M, F, O, N or P.")] | None = None
    current_location: Location | None = None
    date_of_first_session: Time | None = None
    date_of_last_session: Time | None = None
    email_subscribe: _State | None = None
    push_subscribe: _State | None = None
    email_open_tracking_disabled: bool | None = None
    email_click_tracking_disabled: bool | None = None
    marked_email_as_spam_at: Time | None = None
    facebook: dict[str, Any] | None = None
    twitter: dict[str, Any] | None = None
    image_url: Annotated[str, Meta(max_length=1024)] | None = None
    native_line_id: Annotated[str, Meta(max_length=255)] | None = None
    subscription_groups: (
        Annotated[list[dict[str, Any]], Meta(description="There are no groups yet: any entry is refused.")] | None
    ) = None
    push_tokens: (
        Annotated[list[dict[str, Any]], Meta(description="There are no apps yet: any entry is refused.")] | None
    ) = None
    push_token_import: _Flag | None = None


class _Occurrence(Addressed, kw_only=True):
    time: Time
    app_id: str | None = None
    properties: Annotated[dict[str, Any], Meta(description="At most 256, and 100 KB.")] | None = None
    update_existing_only: _Flag | None = field(name="_update_existing_only", default=None)


class Event(_Occurrence, kw_only=True):
    """Something that a user did at a time."""

    name: Name


class Purchase(_Occurrence, kw_only=True):
    """`quantity` pieces bought at `price` each. A negative price is a refund."""

    product_id: Name | int
    currency: Annotated[str, Meta(description="ISO 4217.", examples=["USD"])]
    price: Annotated[float, Meta(ge=-1e12, le=1e12)]
    quantity: Annotated[int, Meta(ge=1, le=100, description="1 when left out.")] | None = None


class TrackBody(Struct):
    """At least one of the arrays has an object. How many there may be in all depends on the workspace's plan."""

    attributes: list[Attributes] | None = None
    events: list[Event] | None = None
    purchases: list[Purchase] | None = None


_Count = Annotated[int, Meta(ge=0, description="Objects that were accepted.")]


class TrackAccepted(Struct, forbid_unknown_fields=True):
    """What was accepted and is stored. An array is counted when it was sent."""

    message: Literal["success"]
    attributes_processed: _Count | UnsetType = UNSET
    events_processed: _Count | UnsetType = UNSET
    purchases_processed: _Count | UnsetType = UNSET
    errors: Annotated[list[ObjectRefusal], Meta(min_length=1)] | UnsetType = UNSET


class EventSummary(Struct, forbid_unknown_fields=True):
    name: str
    first: str
    last: str
    count: int


class PurchaseSummary(Struct, forbid_unknown_fields=True):
    product_id: str
    first: str
    last: str
    count: int


class SyncUser(Struct, forbid_unknown_fields=True):
    """The identifier that was sent, and what the object named, with its present value."""

    external_id: str | UnsetType = UNSET
    user_alias: dict[str, str] | UnsetType = UNSET
    braze_id: str | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    custom_attributes: dict[str, Any] | UnsetType = UNSET
    custom_events: list[EventSummary] | UnsetType = UNSET
    purchase_events: list[PurchaseSummary] | UnsetType = UNSET


class SyncAccepted(Struct, forbid_unknown_fields=True):
    """`users` is empty when nobody has the identifier and nobody was to be made."""

    users: Annotated[list[SyncUser], Meta(max_length=1)]
    message: Literal["success"]


class TrackRefusal(Struct, forbid_unknown_fields=True):
    """Nothing of the request is accepted. Where each object is refused, `errors` says why."""

    message: Annotated[str, Meta(min_length=1)]
    error: str | UnsetType = UNSET
    errors: Annotated[list[ObjectRefusal], Meta(min_length=1)] | UnsetType = UNSET
