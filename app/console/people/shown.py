"""A person as a page shows them: texts of bounded length, and lists of bounded length."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract import people as contract
from app.domain.profile import NAME_EVENT
from app.services.caller import Caller
from app.services.people import Person, Timeline

#: Rows of each list, and characters of each value. The API has all of them.
MOST: Final = 100
LONGEST: Final = 300

#: Members of the document with a place of their own on the page, or shown in another form there.
_LISTS: Final = (
    "user_aliases",
    "custom_attributes",
    "custom_events",
    "purchases",
    "carts",
    "apps",
    "devices",
    "push_tokens",
    "consents",
    "orders_by_day",
)
_ELSEWHERE: Final = ("device_data", "flags")


@dataclass(frozen=True, slots=True)
class Listed:
    """The first rows of a list, and how many there are beside them."""

    rows: list[tuple[str, ...]]
    more: int


@dataclass(frozen=True, slots=True)
class Shown:
    """Everything about somebody."""

    braze_id: str
    #: How they are called in headings.
    name: str
    #: (field, value) of what has one value.
    facts: list[tuple[str, str]]
    flags: list[str]
    #: By heading: what each column is called, and the rows.
    lists: dict[str, tuple[tuple[str, ...], Listed]]


@dataclass(frozen=True, slots=True)
class Line:
    """Something that somebody did."""

    us: int
    kind: str
    name: str
    details: str
    request_id: str


def text(value: object) -> str:
    """A value as a short text."""
    if value is None:
        return "-"
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return whole if len(whole) <= LONGEST else whole[:LONGEST] + "…"


def identifier(document: Mapping[str, object]) -> str:
    """An identifier of a plan: `external_id ada`, `alias crm: 7`."""
    (kind, value), *_ = document.items()
    if isinstance(value, dict):
        own = [str(part) for part in value.values()]
        kind, value = kind.replace("user_alias", "alias"), ": ".join(reversed(own) if kind == "user_alias" else own)
    return text(f"{kind} {value}")


def name_of(profile: Mapping[str, Any]) -> str:
    """What to call somebody: their name, else their first identifier."""
    own = " ".join(str(profile[name]) for name in ("first_name", "last_name") if profile.get(name))
    aliases = profile.get("user_aliases") or [{}]
    for each in (own, profile.get("external_id"), profile.get("email"), profile.get("phone")):
        if each:
            return text(each)
    return text(aliases[0].get("alias_name") or profile["braze_id"])


def person(found: Person) -> Shown:
    document = contract.document(found.view, found.consents, found.size)
    facts = [(name, text(value)) for name, value in document.items() if name not in _LISTS and name not in _ELSEWHERE]
    flags: Any = document.get("flags", {})
    lists = {
        heading: (columns, listed)
        for heading, name, columns in _TABLES
        if (listed := _listed(document.get(name), columns)).rows
    }
    return Shown(
        str(document["braze_id"]), name_of(document), facts, [name for name, is_set in flags.items() if is_set], lists
    )


#: (heading, member of the document, its columns).
_TABLES: Final[tuple[tuple[str, str, tuple[str, ...]], ...]] = (
    ("Attributes", "custom_attributes", ("name", "value")),
    ("Aliases", "user_aliases", ("alias_label", "alias_name")),
    ("Subscriptions", "consents", ("channel", "address", "subscription_group_id", "state", "changed_at")),
    ("Events", "custom_events", ("name", "count", "first", "last")),
    ("Purchases", "purchases", ("name", "count", "first", "last")),
    ("Carts", "carts", ("cart",)),
    ("Orders by day", "orders_by_day", ("day", "orders", "revenue", "refunds")),
    ("Apps", "apps", ("name", "platform", "version", "sessions", "first_used", "last_used")),
    ("Devices", "devices", ("device",)),
    ("Push tokens", "push_tokens", ("app", "platform", "token", "device_id")),
)


def _listed(found: Any, columns: tuple[str, ...]) -> Listed:
    entries: list[Any] = [*(found.items() if isinstance(found, dict) else found or ())]
    rows = [_row(entry, columns) for entry in entries[:MOST]]
    return Listed(rows, max(0, len(entries) - MOST))


def _row(entry: Any, columns: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(entry, tuple):
        return tuple(text(part) for part in entry)
    return (text(entry),) if len(columns) == 1 else tuple(text(entry.get(name)) for name in columns)


def timeline(caller: Caller, found: Timeline) -> list[Line]:
    """What somebody did, the last first."""
    lines = []
    for one in found.happened:
        is_event = one.kind == NAME_EVENT
        details = [] if one.properties is None else [text(one.properties)]
        if not is_event:
            details.insert(0, f"{one.quantity} for {one.cents / 100:.2f} USD")
        request_id = caller.request_id(one.stream, one.seq)
        lines.append(
            Line(one.time_us, "event" if is_event else "purchase", text(one.name), " ".join(details), request_id)
        )
    return lines


def changes(rows: Iterable[Mapping[str, object]], columns: tuple[str, ...]) -> Listed:
    """Values of a plan, by field."""
    entries = list(rows)
    return Listed([_row(entry, ("field", *columns)) for entry in entries[:MOST]], max(0, len(entries) - MOST))
