"""A workspace as files: its users, events and purchases, complete.

A user is shown as by /users/export/ids, with all summaries. The member `onefold` has what that does not show, as it is
stored; its times are microseconds. Events and purchases have the form of /users/track.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract.exported import RENDERERS, View, render
from app.contract.flags import FLAGS
from app.domain import times
from app.domain.money import USD
from app.domain.profile import CHANNEL_EMAIL, Address, AddressState, Occurrence, Profile

#: What a file may hold, by the name of the option.
USERS, EVENTS, PURCHASES = "users", "events", "purchases"
CONTENTS: Final = (USERS, EVENTS, PURCHASES)

#: Types of columns: text, a whole number, a number, a time (ISO 8601), and anything of JSON.
TEXT, INTEGER, NUMBER, TIME, JSON = "text", "integer", "number", "time", "json"

_TYPES: Final = {
    **dict.fromkeys(("random_bucket", "total_orders", "total_cancelled_orders"), INTEGER),
    **dict.fromkeys(("total_revenue", "total_refunds"), NUMBER),
    **dict.fromkeys(("created_at", "last_order_placed_at", "push_opted_in_at", "uninstalled_at"), TIME),
    **dict.fromkeys(
        (
            "user_aliases", "last_coordinates", "custom_attributes", "custom_events", "purchases", "carts", "apps",
            "devices", "push_tokens", "campaigns_received", "canvases_received",
        ),
        JSON,
    ),
}  # fmt: skip
_OCCURRED: Final = {"external_id": TEXT, "braze_id": TEXT}

#: The columns of a file, in their order, with their types.
COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    USERS: {name: _TYPES.get(name, TEXT) for name in RENDERERS},
    EVENTS: _OCCURRED | {"name": TEXT, "time": TIME, "app_id": TEXT, "properties": JSON},
    PURCHASES: _OCCURRED
    | {"product_id": TEXT, "currency": TEXT, "price": NUMBER, "quantity": INTEGER, "time": TIME}
    | {"app_id": TEXT, "properties": JSON},
}

#: Fields of `core` that a user's other members do not show, or not whole.
CORE_FIELDS: Final = (
    "phone_raw", "facebook", "twitter", "image_url", "email_open_tracking_disabled", "email_click_tracking_disabled",
    "marked_email_as_spam_at", "email_subscribe", "email_groups", "phone_groups", "push_subscribe",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Whole:
    """A profile with all that is recorded of its addresses."""

    profile: Profile
    #: Of its e-mail address and of its phone number.
    recorded: Mapping[Address, AddressState]
    now_us: int


def user(whole: Whole, fields: frozenset[str] | None) -> dict[str, object]:
    """A user as a file shows them: with `fields`, no more than these."""
    email = (whole.profile.core or {}).get("email")
    state = whole.recorded.get((CHANNEL_EMAIL, email, "")) if isinstance(email, str) else None
    shown = render(View(whole.profile, state, whole.now_us, whole=True), fields)
    if fields is None:
        del shown["appboy_id"]
        shown["onefold"] = _rest(whole)
    return shown


def _rest(whole: Whole) -> dict[str, object]:
    """What an export does not show. What is empty is left out."""
    profile, core = whole.profile, whole.profile.core or {}
    rest: dict[str, object] = {
        "created_from": profile.created_from,
        "flags": [name for name, bit in FLAGS.items() if profile.flags & bit],
        "purchases": _moments(profile.purchase_count, profile.first_purchase_us, profile.last_purchase_us),
        "sessions": _moments(profile.session_count, profile.first_session_us, profile.last_session_us),
        "former_external_ids": core.get("deprecated"),
        "core": {name: core[name] for name in CORE_FIELDS if name in core},
        "recorded": [
            [channel, topic, state.state, state.changed_us]
            for (channel, _, topic), state in sorted(whole.recorded.items())
        ],
        "devices": profile.devices,
        "messages": profile.messages,
        "commerce": profile.commerce,
    }
    return {name: value for name, value in rest.items() if value}


def _moments(count: int, first_us: int | None, last_us: int | None) -> list[int | None] | None:
    return [count, first_us, last_us] if count or first_us is not None or last_us is not None else None


def event(external_id: str | None, braze_id: str, one: Occurrence) -> dict[str, object]:
    """An event of a person, as /users/track takes it."""
    return _present({"external_id": external_id, "braze_id": braze_id, "name": one.name, **_how(one, one.properties)})


def purchase(external_id: str | None, braze_id: str, one: Occurrence) -> dict[str, object]:
    """A purchase, likewise. The price is that of one piece."""
    told: dict[str, Any] = dict(one.properties or {})
    # Of one in another currency the reducer notes what was paid among the properties, where no client's may be.
    price = told.pop("price", one.cents / 100 / one.quantity)
    currency = told.pop("currency", USD)
    what = {"product_id": one.name, "currency": currency, "price": price, "quantity": one.quantity}
    return _present({"external_id": external_id, "braze_id": braze_id, **what, **_how(one, told or None)})


def _how(one: Occurrence, properties: Mapping[str, Any] | None) -> dict[str, object]:
    return {"time": times.iso(one.time_us), "app_id": one.app_id, "properties": properties}


def _present(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if value is not None}


def unknown(fields: Iterable[str]) -> list[str]:
    """Those that are no fields of users."""
    return sorted(set(fields) - COLUMNS[USERS].keys())
