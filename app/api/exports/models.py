"""Selectors of an export, and a profile as it is given back."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from app.api.identifiers import BrazeId, Email, ExternalId, Phone, UserAlias
from app.api.refusals import ObjectRefusal


class ExportBody(Struct):
    """At least one selector; of device_id, email_address and phone only one."""

    external_ids: Annotated[list[ExternalId], Meta(max_length=50)] | None = None
    user_aliases: Annotated[list[UserAlias], Meta(max_length=50)] | None = None
    braze_id: BrazeId | None = None
    email_address: Email | None = None
    phone: Phone | None = None
    device_id: str | None = None
    cursor: (
        Annotated[str, Meta(description="`next_cursor` of an answer about the same e-mail address or phone number.")]
        | None
    ) = None
    fields_to_export: Annotated[list[str], Meta(description="Fields to give back; all when left out.")] | None = None


class AliasShown(Struct, forbid_unknown_fields=True):
    alias_name: str
    alias_label: str


class Summary(Struct, forbid_unknown_fields=True):
    """A name with activity in the last 90 days."""

    name: str
    first: str
    last: str
    count: int


class Campaign(Struct, forbid_unknown_fields=True):
    """What a person got of a campaign, and did with it."""

    api_campaign_id: str
    engaged: dict[str, bool]
    last_received: str | UnsetType = UNSET


class Canvas(Struct, forbid_unknown_fields=True):
    """What a person got of a canvas."""

    api_canvas_id: str
    last_received_message: str | UnsetType = UNSET
    last_entered: str | UnsetType = UNSET
    last_exited: str | UnsetType = UNSET


class Cart(Struct, forbid_unknown_fields=True):
    """What somebody has put into a basket and not bought."""

    cart_id: str
    currency: str
    updated_at: str
    products: list[dict[str, Any]]
    total_value: (
        Annotated[float, Meta(description="In the currency of the cart; absent where no event told it.")] | UnsetType
    ) = UNSET


class App(Struct, forbid_unknown_fields=True):
    """An app in which the person had a session."""

    name: str
    platform: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    sessions: int | UnsetType = UNSET
    first_used: str | UnsetType = UNSET
    last_used: str | UnsetType = UNSET


class Device(Struct, forbid_unknown_fields=True):
    device_id: str
    model: str | UnsetType = UNSET
    os: str | UnsetType = UNSET
    os_version: str | UnsetType = UNSET
    browser: str | UnsetType = UNSET
    browser_version: str | UnsetType = UNSET
    carrier: str | UnsetType = UNSET
    locale: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    resolution: str | UnsetType = UNSET
    idfv: str | UnsetType = UNSET
    idfa: str | UnsetType = UNSET
    google_ad_id: str | UnsetType = UNSET
    roku_ad_id: str | UnsetType = UNSET
    ad_tracking_enabled: bool | UnsetType = UNSET


class PushToken(Struct, forbid_unknown_fields=True):
    app: Annotated[str | None, Meta(description="The app's `app_id`.")]
    platform: str | None
    token: str
    device_id: str | None
    notifications_enabled: bool
    provisionally_opted_in: bool


class Profile(Struct, forbid_unknown_fields=True, kw_only=True):
    """A field without a value is left out."""

    created_at: Annotated[str, Meta(examples=["2026-02-10T09:15:00.000Z"])] | UnsetType = UNSET
    external_id: str | UnsetType = UNSET
    user_aliases: list[AliasShown] | UnsetType = UNSET
    braze_id: str | UnsetType = UNSET
    appboy_id: Annotated[str, Meta(description="The same as braze_id.")] | UnsetType = UNSET
    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    random_bucket: Annotated[int, Meta(ge=0, le=9999)] | UnsetType = UNSET
    email: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    dob: str | UnsetType = UNSET
    country: str | UnsetType = UNSET
    language: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    home_city: str | UnsetType = UNSET
    gender: str | UnsetType = UNSET
    native_line_id: str | UnsetType = UNSET
    last_coordinates: (
        Annotated[list[float], Meta(min_length=2, max_length=2, description="Longitude, latitude.")] | UnsetType
    ) = UNSET
    custom_attributes: dict[str, Any] | UnsetType = UNSET
    custom_events: list[Summary] | UnsetType = UNSET
    purchases: list[Summary] | UnsetType = UNSET
    total_revenue: Annotated[float, Meta(description="USD.")] | UnsetType = UNSET
    total_orders: Annotated[int, Meta(ge=0, description="Placed and not cancelled.")] | UnsetType = UNSET
    total_cancelled_orders: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    total_refunds: Annotated[float, Meta(description="USD.")] | UnsetType = UNSET
    last_order_placed_at: str | UnsetType = UNSET
    carts: list[Cart] | UnsetType = UNSET
    push_subscribe: str | UnsetType = UNSET
    push_opted_in_at: str | UnsetType = UNSET
    email_subscribe: str | UnsetType = UNSET
    uninstalled_at: str | UnsetType = UNSET
    apps: list[App] | UnsetType = UNSET
    devices: list[Device] | UnsetType = UNSET
    push_tokens: list[PushToken] | UnsetType = UNSET
    campaigns_received: list[Campaign] | UnsetType = UNSET
    canvases_received: list[Canvas] | UnsetType = UNSET


class Exported(Struct, forbid_unknown_fields=True):
    users: list[Profile]
    message: Literal["success"]
    invalid_user_ids: (
        Annotated[list[str], Meta(min_length=1, description="Selectors that nobody has, aliases excepted.")] | UnsetType
    ) = UNSET
    errors: (
        Annotated[
            list[ObjectRefusal],
            Meta(
                min_length=1,
                description="Aliases that are malformed, and identifiers that nobody has and that hold a character "
                "that nobody sees.",
            ),
        ]
        | UnsetType
    ) = UNSET
    next_cursor: (
        Annotated[str, Meta(min_length=1, description="More profiles have the address or the number.")] | UnsetType
    ) = UNSET
