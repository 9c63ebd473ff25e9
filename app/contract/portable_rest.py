"""The member `onefold` of a user in a file: what it may hold. Whatever has another form is refused as a whole.

It is stored as it is told, and commands that come later read it as if Onefold had written it. So the types are exact.
"""

from typing import Annotated, Any, Final, Literal, Required, TypedDict

import msgspec
from msgspec import Meta

from app.domain import ecommerce
from app.domain.merging.devices import key_in_section

Moment = Annotated[int, Meta(ge=-(2**56), le=2**56)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Cents = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Text = Annotated[str, Meta(max_length=4_096)]
Key = Annotated[str, Meta(min_length=1, max_length=1_024)]
Counted = tuple[Count, Moment | None, Moment | None]
State = Literal["subscribed", "unsubscribed", "opted_in"]
Said = tuple[State, Moment]
Number = int | float


class Core(TypedDict, total=False):
    """Reserved fields, as the section `core` has them."""

    phone_raw: Text
    facebook: dict[str, object]
    twitter: dict[str, object]
    image_url: Text
    email_open_tracking_disabled: bool
    email_click_tracking_disabled: bool
    marked_email_as_spam_at: Moment
    email_subscribe: Said
    email_groups: dict[Key, Said]
    phone_groups: dict[Key, Said]
    push_subscribe: Said


class Device(TypedDict, total=False):
    """One device, as app.domain.sdk keeps it."""

    app: Key
    id: Key
    model: Text
    os: Text
    os_version: Text
    browser: Text
    browser_version: Text
    carrier: Text
    locale: Text
    time_zone: Text
    resolution: Text
    idfv: Text
    idfa: Text
    google_ad_id: Text
    roku_ad_id: Text
    ad_tracking_enabled: bool
    last_seen: Moment
    batches: Annotated[list[Count], Meta(min_length=5, max_length=5)]
    session: Text
    session_at: Moment
    detected: dict[Literal["language", "country", "time_zone"], Text]


class Token(TypedDict, total=False):
    """One push token."""

    app: Text
    platform: Text
    device_id: Text
    at: Moment
    enabled: bool
    provisional: bool


class App(TypedDict, total=False):
    """Use of one app."""

    name: Text
    platform: Text
    version: Text
    sessions: Count
    first_used: Moment
    last_used: Moment


class Devices(TypedDict, total=False):
    """The section `devices`."""

    devices: dict[Key, Device]
    tokens: dict[Annotated[str, Meta(min_length=1, max_length=4_096)], Token]
    apps: dict[Key, App]
    active: dict[str, Annotated[list[Count], Meta(min_length=2, max_length=2)]]
    uninstalled_at: Moment


class Entry(TypedDict, total=False):
    """One message or engagement."""

    at: Required[Moment]
    kind: Required[Text]
    campaign_id: Text
    canvas_id: Text


Moments = Annotated[dict[Key, Moment], Meta(min_length=1)]


class Messages(TypedDict, total=False):
    """The section `messages`."""

    received: dict[Key, Moment]
    campaigns: dict[Key, Moments]
    canvases: dict[Key, Moments]
    history: dict[Key, Entry]


class Line(TypedDict, total=False):
    """A product in a cart."""

    product_id: Required[Text]
    product_name: Text
    variant_id: Text
    quantity: Required[Count]
    price: Number
    image_url: Text
    product_url: Text


class Cart(TypedDict, total=False):
    """A cart."""

    currency: Required[Annotated[str, Meta(max_length=8)]]
    total: Number
    updated: Required[Moment]
    lines: Required[Annotated[dict[str, Line], Meta(max_length=ecommerce.MAX_LINES)]]


class Commerce(TypedDict, total=False):
    """The section `commerce`."""

    placed: Count
    cancelled: Count
    refunded: Cents
    last_order: Moment
    carts: Annotated[dict[str, Cart], Meta(max_length=ecommerce.MAX_CARTS)]
    days: Annotated[
        dict[Annotated[str, Meta(pattern=r"\A[0-9]{1,6}\Z")], Annotated[list[Cents], Meta(min_length=3, max_length=3)]],
        Meta(max_length=2 * ecommerce.KEPT_DAYS),
    ]
    unbooked: Annotated[
        dict[
            Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")],
            Annotated[str, Meta(pattern=r"\A-?[0-9]{1,400}(\.[0-9]{1,400})?\Z")],
        ],
        Meta(max_length=ecommerce.MAX_UNBOOKED),
    ]


class Rest(TypedDict, total=False):
    """The member `onefold`."""

    created_from: Literal["rest", "sdk", "pti"]
    flags: list[Literal["test_user", "global_control_group", "spam_blocked"]]
    purchases: Counted
    sessions: Counted
    former_external_ids: list[Annotated[str, Meta(min_length=1, max_length=987)]]
    core: Core
    #: Channel, topic, state (or what a mark says), moment.
    recorded: list[tuple[Literal[1, 2], Annotated[str, Meta(max_length=255)], Key, Moment]]
    devices: Devices
    messages: Messages
    commerce: Commerce


_SUBSCRIPTIONS: Final = ("subscribed", "unsubscribed", "opted_in")


def read(value: object) -> Any:
    """A `Rest` of plain dicts; None for what has another form."""
    try:
        found: Any = msgspec.convert(value, Rest)
    except (msgspec.ValidationError, RecursionError):
        return None
    for _, topic, said, _ in found.get("recorded", ()):
        if not topic.startswith("~") and said not in _SUBSCRIPTIONS:
            return None
    devices: dict[str, Any] = found.get("devices", {}).get("devices", {})
    for key, device in devices.items():
        if ("id" in device) is not ("app" in device):
            return None
        if "id" in device and key != key_in_section(device["app"], device["id"]):
            return None
    # As JSON would have them: tuples of fixed length are lists where they are stored.
    return msgspec.to_builtins(found)
