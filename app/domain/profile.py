"""The nouns: identifiers, profiles, consent of addresses, problems and occurrences. Values without behaviour.

Times are integer microseconds since 1970-01-01 UTC, truncated to milliseconds where they come from a client.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Final

# Kinds of identifier. The numbers are stored, so they are never reused for something else.
EXTERNAL: Final = 1
DEPRECATED: Final = 2
ALIAS: Final = 3
EMAIL: Final = 4
PHONE: Final = 5
BRAZE: Final = 6
TOKEN: Final = 7  # a push token
DEVICE: Final = 8  # label: id of the app; value: id of the device

#: (kind, label, value): label is that of an alias, the app of a device, and "" for every other kind.
Identifier = tuple[int, str, str]

# Sections of a profile. A section is loaded when a command needs it and written only when it changed.
CORE: Final = 1
CUSTOM: Final = 2
EVENTS: Final = 4
PURCHASES: Final = 8
DEVICES: Final = 16
MESSAGES: Final = 32
COMMERCE: Final = 64
ALL_SECTIONS: Final = CORE | CUSTOM | EVENTS | PURCHASES | DEVICES | MESSAGES | COMMERCE

#: Attribute of Profile that holds each section.
SECTION_NAMES: Final = {
    CORE: "core",
    CUSTOM: "custom",
    EVENTS: "events",
    PURCHASES: "purchases",
    DEVICES: "devices",
    MESSAGES: "messages",
    COMMERCE: "commerce",
}

#: What the section `core` may hold; a key is absent when the profile has no value for it.
CORE_FIELDS: Final = (
    "aliases",  # {label: name}, at most one name per label
    "deprecated",  # former external ids, oldest first
    "first_name",
    "last_name",
    "email",  # lower-case, see contract/addresses.py
    "phone",  # E.164, absent when the number could not be read
    "phone_raw",  # as sent
    "country",
    "language",
    "time_zone",
    "home_city",
    "dob",  # YYYY-MM-DD
    "gender",
    "current_location",  # [longitude, latitude]
    "facebook",
    "twitter",
    "image_url",
    "native_line_id",
    "email_open_tracking_disabled",
    "email_click_tracking_disabled",
    "marked_email_as_spam_at",  # microseconds
    "email_subscribe",  # [state, changed_us] while the profile has no e-mail address, which owns the state otherwise
    "email_groups",  # {id of a subscription group of e-mail: [state, changed_us]}, likewise
    "phone_groups",  # the same of SMS and WhatsApp, while the profile has no readable phone number
    "push_subscribe",  # [state, changed_us]
    "merges",  # how many profiles were merged into this one, with those that had been merged into them
    "last_merge",  # id of the last merge into this profile that was not undone
)


# Bits of `Profile.flags`. The numbers are stored.
TEST_USER: Final = 1
GLOBAL_CONTROL_GROUP: Final = 2  # is never combined with another profile
MARKED_FOR_DELETION: Final = 4  # neither
SPAM_BLOCKED: Final = 8  # nor that, and it takes no further data: see app.domain.spam


@dataclass(slots=True)
class Profile:
    """One user record. The section attributes are None while the section is not loaded."""

    #: Row number in the store, derived from where the profile was created: unique in a workspace, never shown.
    pid: int
    #: 24 lower-case hex digits, immutable.
    braze_id: str
    created_us: int
    #: (updated_us, updated_index) is the last applied write: time of acceptance and position inside that request.
    updated_us: int
    updated_index: int
    external_id: str | None = None
    created_from: str = "rest"
    random_bucket: int = 0
    flags: int = 0
    #: US cents, refunds included.
    revenue_cents: int = 0
    purchase_count: int = 0
    first_purchase_us: int | None = None
    last_purchase_us: int | None = None
    session_count: int = 0
    first_session_us: int | None = None
    last_session_us: int | None = None
    #: Bytes, as app.domain.sizes counts them; 0 = not counted yet, which is so only in what older versions stored.
    size: int = 0
    core: dict[str, object] | None = None
    custom: dict[str, object] | None = None
    #: {event name: [count, first_us, last_us]}
    events: MutableMapping[str, list[int]] | None = None
    #: {product id: [count, first_us, last_us]}
    purchases: MutableMapping[str, list[int]] | None = None
    #: {"devices": {key of a device: {"app", "id", "model", "os", …}}, "tokens": {push token: {"app", "platform",
    #:  "device_id", "at"}}, "apps": {id of an app: {"name", "platform", "version", "sessions", "first_used",
    #:  "last_used"}}, "active": {id of an app, or "" for all: mark of app.domain.activity}, "uninstalled_at": us} with
    #: times in microseconds: see app.domain.devices. A push token, and a device of an app, belongs to one profile of
    #: the workspace.
    devices: dict[str, object] | None = None
    #: {"received": {kind of message: last_us}, "campaigns" and "canvases": {id: {kind of date: last_us}},
    #:  "history": {id of a sent message or of an engagement: {"at": us, …}}}
    messages: dict[str, object] | None = None
    #: Orders, carts and daily sums, and revenue without a rate: see app.domain.ecommerce.
    commerce: dict[str, object] | None = None

    @property
    def recency(self) -> tuple[int, int, int, str]:
        """Orders profiles by last write; ties by creation, then by braze_id (spec track.md 4.3)."""
        return (self.updated_us, self.updated_index, self.created_us, self.braze_id)


# Consent. A state belongs to the address, so that one write reaches every profile that has it (D27).
SUBSCRIBED: Final = "subscribed"
UNSUBSCRIBED: Final = "unsubscribed"
OPTED_IN: Final = "opted_in"
SUBSCRIPTION_STATES: Final = (UNSUBSCRIBED, SUBSCRIBED, OPTED_IN)  # most restrictive first

CHANNEL_EMAIL: Final = 1
CHANNEL_PHONE: Final = 2

#: (channel, address, topic). The topic is "" for the channel's global state, a subscription group's id, or a mark.
Address = tuple[int, str, str]

# Marks of an address: what is known of it beside consent. No id of a subscription group begins like one.
MARK_PREFIX: Final = "~"
HARD_BOUNCED: Final = "~hard_bounced"
SPAM: Final = "~spam"  # somebody complained
INVALID: Final = "~invalid"  # of a phone number; the state is the reason
MARKED: Final = "marked"

#: The field that holds the address of a channel, the one that holds states of its groups while a profile has no
#: address, and the kind of its identifiers.
CHANNEL_FIELDS: Final = {CHANNEL_EMAIL: "email", CHANNEL_PHONE: "phone"}
GROUP_FIELDS: Final = {CHANNEL_EMAIL: "email_groups", CHANNEL_PHONE: "phone_groups"}
CHANNEL_KINDS: Final = {CHANNEL_EMAIL: EMAIL, CHANNEL_PHONE: PHONE}


def is_group(topic: str) -> bool:
    """Whether a topic is the id of a subscription group."""
    return topic != "" and not topic.startswith(MARK_PREFIX)


@dataclass(frozen=True, slots=True)
class AddressState:
    """What is recorded of one topic of an address."""

    #: One of SUBSCRIPTION_STATES, or what a mark says.
    state: str
    changed_us: int
    #: While nobody has the address: from this moment on nothing is recorded any more (spec subscriptions.md 5).
    forget_us: int | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something of an accepted request that had no or not its full effect. Never holds a value of the client."""

    stream: int
    seq: int
    ordinal: int
    input_array: str
    index: int
    #: Name of the field that was skipped; "" when it was the whole object.
    field: str
    reason: str


NAME_EVENT: Final = 1
NAME_PRODUCT: Final = 2
NAME_ATTRIBUTE: Final = 3
# Kinds with one name, "", which is Onefold's own: sessions that began, and those that ended, as long as they took.
NAME_SESSION: Final = 13
NAME_SESSION_END: Final = 16
OWN_NAMES: Final = (NAME_SESSION, NAME_SESSION_END)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event, one purchase object of `quantity` items, or the beginning or the end of a session of `quantity`
    seconds, kept for filters such as X times in Y days."""

    stream: int
    seq: int
    ordinal: int
    pid: int
    name_kind: int
    name: str
    time_us: int
    app_id: str | None
    properties: dict[str, object] | None
    quantity: int = 1
    cents: int = 0
