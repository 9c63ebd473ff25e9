"""POST /users/export/ids: selectors in, profiles out (spec export-delete-rename.md 1)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, Final

import msgspec

from app.contract import addresses, elements, identifiers, invisible, messages
from app.contract import body as bodies
from app.contract.cursor import BAD_CURSOR, Cursors, Position
from app.contract.errors import ObjectError, ObjectRefusedError, RefusedError
from app.domain import custom_attributes, ecommerce, times
from app.domain.profile import (
    ALIAS,
    ALL_SECTIONS,
    BRAZE,
    COMMERCE,
    CORE,
    CUSTOM,
    DEVICE,
    DEVICES,
    EMAIL,
    EVENTS,
    EXTERNAL,
    MESSAGES,
    PHONE,
    PURCHASES,
    SUBSCRIBED,
    AddressState,
    Identifier,
    Profile,
)

MAX_IDS: Final = 50
#: Profiles of one answer that have the e-mail address or the phone number (DECISIONS D72).
MAX_HOLDERS: Final = 100
#: Characters that are shown of an entry that is no identifier.
MAX_SHOWN: Final = 100
#: Option of a workspace.
REQUIRES_FIELDS: Final = "export_requires_fields"
NO_SELECTOR: Final = (
    "Valid data must be provided in the 'external_ids', 'user_aliases', 'braze_id', 'device_id', "
    "'email_address', or 'phone' fields."
)
TOO_MANY_IDS: Final = "The max number of ids per request was exceeded"
TOO_MANY_ALIASES: Final = "The max number of external_ids and aliases per request was exceeded"
ONLY_ONE: Final = "only one of 'device_id', 'email_address', or 'phone' may be provided"
NOBODY: Final = "Nobody has this identifier"
NO_KNOWN_FIELD: Final = "'fields_to_export' must be an array with at least one known field name"
#: The JSON answer up to the first profile.
BEGINNING: Final = b'{"users":['
#: Fields that keep a request to the ordinary limit.
LARGE_FIELDS: Final = ("canvases_received", "campaigns_received")
NO_FIELDS: Final = "'fields_to_export' is required"
#: Summaries without activity for this long are not exported.
SUMMARY_WINDOW_US: Final = 90 * times.DAY


@dataclass(frozen=True, slots=True)
class Selector:
    """One identifier that was asked for. `key` is None when the text can belong to nobody."""

    key: Identifier | None
    #: What `invalid_user_ids` says when nobody has it; None for aliases, which are not listed.
    sent: str | None
    #: The member of the request that has it, and its position there.
    member: str
    index: int = 0

    def hint(self) -> ObjectError | None:
        """What may be the cause where nobody has it: a character that nobody sees."""
        kind, label, name = self.key or (0, "", "")
        texts = {"alias_label": label, "alias_name": name} if kind == ALIAS else {self.member: self.sent}
        sentence = invisible.explained(NOBODY, texts, frozenset(texts))
        return None if sentence == NOBODY else ObjectError(sentence, self.member, self.index)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """In the order in which the answer lists profiles: external ids, aliases, braze_id, then the other one."""

    selectors: tuple[Selector, ...]
    #: None = the default output.
    fields: frozenset[str] | None = field(default=None)
    #: Aliases that were left out, being malformed.
    errors: tuple[ObjectError, ...] = ()
    #: `cursor` as it was sent; None when it was not.
    cursor: object = None

    @property
    def crowd(self) -> Identifier | None:
        """The e-mail address or phone number that was asked for, which many profiles may have."""
        keys = (selector.key for selector in self.selectors)
        return next((key for key in keys if key is not None and key[0] in (EMAIL, PHONE)), None)

    def behind(self, cursors: Cursors) -> Position | None:
        """Behind which holder the answer begins; None = at the first. Raises RefusedError(400)."""
        if self.cursor is None:
            return None
        if self.crowd is None:
            raise RefusedError(400, BAD_CURSOR)
        return cursors.read(question(self.crowd), self.cursor)


def question(crowd: Identifier) -> tuple[int | str, ...]:
    """What the cursors of an export belong to."""
    return ("export", *crowd)


def read(body: bytes, *, requires_fields: bool = False, region: str = addresses.DEFAULT_REGION) -> ExportRequest:
    """Check a request. `requires_fields`: one that names no fields is refused (D24). Raises RefusedError.

    `region` is that of a phone number without a `+`.
    """
    document = bodies.parse_object(body)
    if document is None:
        raise RefusedError(400, NO_SELECTOR)
    others = [name for name in ("device_id", "email_address", "phone") if identifiers.is_sent(document.get(name))]
    if len(others) > 1:
        raise RefusedError(400, ONLY_ONE)
    errors: list[ObjectError] = []
    selectors = _external_ids(document.get("external_ids")) + _aliases(document.get("user_aliases"), errors)
    if identifiers.is_sent(document.get("braze_id")):
        selectors.append(_one("braze_id", document["braze_id"], lambda text: (BRAZE, "", text)))
    for name in others:
        selectors.append(_one(name, document[name], _OTHERS[name](region)))
    if not selectors:
        raise elements.refused(NO_SELECTOR, document, errors)
    fields = fields_of(document.get("fields_to_export"))
    if fields is None and requires_fields:
        raise RefusedError(400, NO_FIELDS)
    cursor = document.get("cursor")
    return ExportRequest(tuple(selectors), fields, tuple(errors), cursor if identifiers.is_sent(cursor) else None)


def names_small_fields(body: bytes) -> bool:
    """Whether a request names its fields and no large one is among them: such requests have a faster limit."""
    try:
        document = bodies.parse_object(body)
    except RefusedError:
        return False
    fields = None if document is None else document.get("fields_to_export")
    if not isinstance(fields, list) or not fields:
        return False
    return not any(isinstance(name, str) and name in LARGE_FIELDS for name in fields)


def _one(name: str, value: object, key: Callable[[str], Identifier | None]) -> Selector:
    """The selector of a single identifier; one that is no text at all is a mistake of the whole request."""
    text = identifiers.text(value)
    if text is None:
        raise RefusedError(400, f"'{name}' must be a string")
    return Selector(key(text) if _is_storable(text) else None, text, name)


def _external_ids(value: object) -> list[Selector]:
    if not identifiers.is_sent(value):
        return []
    values = [value] if isinstance(value, (str, int)) and not isinstance(value, bool) else value
    if not isinstance(values, list):
        raise RefusedError(400, elements.no_array("external_ids", "strings"))
    if len(values) > MAX_IDS:
        raise RefusedError(400, TOO_MANY_IDS)
    return [_external_id(member, index) for index, member in enumerate(values)]


def _external_id(value: object, index: int) -> Selector:
    """One that no profile can have is listed as invalid, and the others are answered (DECISIONS D71)."""
    text = identifiers.text(value)
    if text is None:
        shown = "" if bodies.unstorable(value) else msgspec.json.encode(value).decode()[:MAX_SHOWN]
        return Selector(None, shown, "external_ids", index)
    fits = 0 < len(text.encode()) <= identifiers.MAX_EXTERNAL_ID_BYTES
    return Selector((EXTERNAL, "", text) if fits and _is_storable(text) else None, text, "external_ids", index)


def _is_storable(text: str) -> bool:
    return "\0" not in text


def _aliases(value: object, errors: list[ObjectError]) -> list[Selector]:
    """The well-formed aliases; `errors` gets an entry for each of the others (DECISIONS D71)."""
    if not identifiers.is_sent(value):
        return []
    if not isinstance(value, list):
        raise RefusedError(400, elements.no_array("user_aliases"))
    if len(value) > MAX_IDS:
        raise RefusedError(400, TOO_MANY_ALIASES)
    selectors = []
    for index, member in enumerate(value):
        try:
            label, name = identifiers.alias(elements.sound(member))
        except ObjectRefusedError as refused:
            errors.append(elements.object_error(refused, "user_aliases", index, member))
        else:
            selectors.append(Selector((ALIAS, label, name), None, "user_aliases", index))
    return selectors


def _by_email(_region: str) -> Callable[[str], Identifier | None]:
    return lambda text: None if (email := addresses.email(text)) is None else (EMAIL, "", email)


def _by_phone(region: str) -> Callable[[str], Identifier | None]:
    return lambda text: None if (phone := addresses.phone(text, region)) is None else (PHONE, "", phone)


def _by_device(_region: str) -> Callable[[str], Identifier | None]:
    return lambda text: (DEVICE, "", text) if "\0" not in text else None  # of whichever app


_OTHERS: Final = {"email_address": _by_email, "phone": _by_phone, "device_id": _by_device}


def fields_of(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise RefusedError(400, NO_KNOWN_FIELD)
    if not value:
        return None
    known = frozenset(name for name in value if isinstance(name, str) and (name in RENDERERS or name in WITHOUT_VALUES))
    if not known:
        raise RefusedError(400, NO_KNOWN_FIELD)
    return known


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


def ending(unknown: Sequence[Selector], malformed: tuple[ObjectError, ...], cursor: str | None) -> bytes:
    """What stands behind the profiles in the JSON answer, which begins with BEGINNING. `cursor` is of the next page.

    `unknown`: whom nobody is; where a character that nobody sees may be the cause, `errors` names it.
    """
    document: dict[str, object] = {}
    invalid = [selector.sent for selector in unknown if selector.sent is not None]
    if invalid:
        document["invalid_user_ids"] = invalid
    document["message"] = "success"
    errors = [*malformed, *(hint for selector in unknown if (hint := selector.hint()) is not None)]
    if errors:
        document["errors"] = [error.as_json() for error in errors]
    if cursor is not None:
        document["next_cursor"] = cursor
    return b"]," + msgspec.json.encode(document)[1:]


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
