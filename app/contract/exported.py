"""A profile as an export shows it: what each field is, and which sections it is read from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Final

import msgspec

from app.contract import messages
from app.domain import custom_attributes, ecommerce, times
from app.domain.profile import (
    ALL_SECTIONS,
    COMMERCE,
    CORE,
    CUSTOM,
    DEVICES,
    EVENTS,
    MESSAGES,
    PURCHASES,
    SUBSCRIBED,
    AddressState,
    Profile,
)

#: Summaries without activity for this long are not exported.
SUMMARY_WINDOW_US: Final = 90 * times.DAY


@dataclass(frozen=True, slots=True)
class View:
    """A profile with the consent of its e-mail address, as seen at one instant."""

    profile: Profile
    email_state: AddressState | None
    now_us: int
    #: Whether summaries are shown whose last activity was long ago.
    whole: bool = False

    @property
    def core(self) -> dict[str, Any]:
        return self.profile.core or {}

    @property
    def devices(self) -> dict[str, Any]:
        return self.profile.devices or {}

    @property
    def commerce(self) -> dict[str, Any]:
        return self.profile.commerce or {}


def encoded(view: View, fields: frozenset[str] | None) -> bytes:
    """One profile as JSON."""
    return msgspec.json.encode(render(view, fields))


def render(view: View, fields: frozenset[str] | None) -> dict[str, object]:
    """One profile as clients see it: a field without value is left out, save `user_aliases` and `total_revenue`."""
    user: dict[str, object] = {}
    for name, renderer in RENDERERS.items():
        if fields is None or name in fields:
            value = renderer(view)
            if value is not None:
                user[name] = value
    if fields is None:
        user["appboy_id"] = view.profile.braze_id
    return user


def _core(name: str) -> Callable[[View], object]:
    return lambda view: view.core.get(name) or None  # an empty text is no value (spec clients.md 1)


def _aliases_of(view: View) -> object:
    aliases: dict[str, str] = view.core.get("aliases", {})
    return [{"alias_name": name, "alias_label": label} for label, name in sorted(aliases.items())]


def _summaries(section: str) -> Callable[[View], object]:
    def rendered(view: View) -> object:
        summaries: dict[str, list[int]] = getattr(view.profile, section) or {}
        return [
            {"name": name, "first": times.iso(first), "last": times.iso(last), "count": count}
            for name, (count, first, last) in sorted(summaries.items())
            if view.whole or last >= view.now_us - SUMMARY_WINDOW_US
        ] or None

    return rendered


def _custom(view: View) -> object:
    custom = view.profile.custom or {}
    return {name: custom_attributes.exported(custom[name]) for name in sorted(custom)} or None


def _email_subscribe(view: View) -> object:
    if "email" in view.core:
        return view.email_state.state if view.email_state is not None else SUBSCRIBED
    return (view.core.get("email_subscribe") or (SUBSCRIBED,))[0]


def _push_opted_in_at(view: View) -> object:
    state = view.core.get("push_subscribe")
    return times.iso(state[1]) if state is not None and state[0] == "opted_in" else None


def _orders(view: View) -> object:
    commerce = view.commerce
    return ecommerce.total_orders(commerce) if commerce.get("placed") or commerce.get("cancelled") else None


def _last_order(view: View) -> object:
    last = view.commerce.get("last_order")
    return None if last is None else times.iso(last)


def _refunds(view: View) -> object:
    refunded = view.commerce.get("refunded")
    return None if refunded is None else refunded / 100


def _carts(view: View) -> object:
    """Carts that somebody still shops with."""
    return shown_carts(ecommerce.open_carts(view.commerce, view.now_us))


def shown_carts(carts: Mapping[str, Any]) -> object:
    """Carts of the section `commerce`, the one updated last first; None when there are none."""
    newest = sorted(carts.items(), key=lambda named: (-named[1]["updated"], named[0]))
    return [
        {
            "cart_id": name,
            "currency": cart["currency"],
            **({"total_value": cart["total"]} if "total" in cart else {}),
            "updated_at": times.iso(cart["updated"]),
            "products": list(cart["lines"].values()),
        }
        for name, cart in newest
    ] or None


def _dob(view: View) -> object:
    dob = view.core.get("dob")
    return None if dob is None else f"{dob}T00:00:00.000Z"


def _apps(view: View) -> object:
    """Apps in which the person had a session, by their names."""
    apps: dict[str, dict[str, Any]] = view.devices.get("apps", {})
    return [
        {
            "name": app.get("name") or app_id,
            **{name: app[name] for name in ("platform", "version", "sessions") if name in app},
            **{name: times.iso(app[name]) for name in ("first_used", "last_used") if name in app},
        }
        for app_id, app in sorted(apps.items())
    ] or None


#: Members of a device that are shown, in their order.
DEVICE_MEMBERS: Final = (
    "model", "os", "os_version", "browser", "browser_version", "carrier", "locale", "time_zone", "resolution",
    "idfv", "idfa", "google_ad_id", "roku_ad_id", "ad_tracking_enabled",
)  # fmt: skip


def _devices(view: View) -> object:
    devices: dict[str, dict[str, Any]] = view.devices.get("devices", {})
    return [
        {
            "device_id": device.get("id", key),
            **{name: device[name] for name in DEVICE_MEMBERS if name in device},
        }
        for key, device in sorted(devices.items())
    ] or None


def _push_tokens(view: View) -> object:
    tokens: dict[str, dict[str, Any]] = view.devices.get("tokens", {})
    return [
        {
            "app": entry.get("app"),
            "platform": entry.get("platform"),
            "token": token,
            "device_id": entry.get("device_id"),
            "notifications_enabled": entry.get("enabled", True),
            "provisionally_opted_in": entry.get("provisional", False),
        }
        for token, entry in sorted(tokens.items())
    ] or None


#: Fields of the catalogue that no profile has a value for yet: asking for one is no mistake, and it is left out.
WITHOUT_VALUES: Final = frozenset(
    (
        "attributed_ad",
        "attributed_adgroup",
        "attributed_campaign",
        "attributed_source",
        "cards_clicked",
    )
)


#: Field -> how it is shown, in the order of the answer. Fields of messaging and devices come with those features.
RENDERERS: Final[dict[str, Callable[[View], object]]] = {
    "created_at": lambda view: times.iso(view.profile.created_us),
    "external_id": lambda view: view.profile.external_id,
    "user_aliases": _aliases_of,
    "braze_id": lambda view: view.profile.braze_id,
    "first_name": _core("first_name"),
    "last_name": _core("last_name"),
    "random_bucket": lambda view: view.profile.random_bucket,
    "email": _core("email"),
    "phone": lambda view: view.core.get("phone") or view.core.get("phone_raw"),
    "dob": _dob,
    "country": _core("country"),
    "language": _core("language"),
    "time_zone": _core("time_zone"),
    "home_city": _core("home_city"),
    "gender": _core("gender"),
    "native_line_id": _core("native_line_id"),
    "last_coordinates": _core("current_location"),
    "custom_attributes": _custom,
    "custom_events": _summaries("events"),
    "purchases": _summaries("purchases"),
    "total_revenue": lambda view: view.profile.revenue_cents / 100,
    "total_orders": _orders,
    "total_cancelled_orders": lambda view: view.commerce.get("cancelled"),
    "total_refunds": _refunds,
    "last_order_placed_at": _last_order,
    "carts": _carts,
    "push_subscribe": lambda view: (view.core.get("push_subscribe") or (SUBSCRIBED,))[0],
    "push_opted_in_at": _push_opted_in_at,
    "email_subscribe": _email_subscribe,
    "uninstalled_at": lambda view: None if (us := view.devices.get("uninstalled_at")) is None else times.iso(us),
    "apps": _apps,
    "devices": _devices,
    "push_tokens": _push_tokens,
    "campaigns_received": lambda view: messages.campaigns(view.profile),
    "canvases_received": lambda view: messages.canvases(view.profile),
}


#: Sections that a field is read from, beside the profile's row. Fields without an entry need all of them.
SECTIONS: Final[dict[str, int]] = {
    **dict.fromkeys(RENDERERS, CORE),
    "custom_attributes": CUSTOM,
    "custom_events": EVENTS,
    "purchases": PURCHASES,
    **dict.fromkeys(("total_orders", "total_cancelled_orders", "total_refunds", "last_order_placed_at"), COMMERCE),
    "carts": COMMERCE,
    **dict.fromkeys(("uninstalled_at", "apps", "devices", "push_tokens"), DEVICES),
    "campaigns_received": MESSAGES,
    "canvases_received": MESSAGES,
}


def sections_of(fields: frozenset[str] | None) -> int:
    """The sections that have to be loaded for these fields, as a bit mask. `core` is one of them."""
    if fields is None:
        return ALL_SECTIONS
    return reduce(or_, (SECTIONS.get(name, ALL_SECTIONS) for name in fields), CORE)
