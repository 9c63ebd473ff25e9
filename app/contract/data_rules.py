"""Attributes, events and products as operators manage them: pages of names, and what is decided about one.

Endpoints of our own, GET and POST /v1/attributes, /v1/events and /v1/products.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract import elements
from app.contract.body import parse_object, unsound
from app.contract.errors import RefusedError
from app.domain import numbers
from app.domain.custom_attributes import MAX_CHARACTERS, valid_name
from app.domain.data_rules import TYPES
from app.domain.profile import NAME_ATTRIBUTE, NAME_EVENT, NAME_PRODUCT
from app.domain.settings import ApplySettings

MAX_PAGE: Final = 500
DEFAULT_PAGE: Final = 50
MAX_ARRAY: Final = 10_000
#: Names with a rule of their own; every batch reads them all.
MAX_RULES: Final = 2_000

BAD_NAME: Final = f"'name' must be a name of 1 to {MAX_CHARACTERS} characters"
BAD_RULE: Final = "The body must be an object of 'name' and at least one of: %s"
BAD_PAGE: Final = f"'limit' must be a number from 1 to {MAX_PAGE}, 'cursor' the next_cursor of another page"
TOO_MANY: Final = f"At most {MAX_RULES} names can have a rule"


@dataclass(frozen=True, slots=True)
class Family:
    """Names of one kind, the setting with their rules, and what can be decided about them."""

    title: str
    kind: int
    setting: str
    members: tuple[str, ...]


ATTRIBUTES: Final = Family("attributes", NAME_ATTRIBUTE, "attributes", ("type", "array_max", "blocked"))
EVENTS: Final = Family("events", NAME_EVENT, "blocked_events", ("blocked",))
PRODUCTS: Final = Family("products", NAME_PRODUCT, "blocked_products", ("blocked",))


@dataclass(frozen=True, slots=True)
class Page:
    after: str
    limit: int


def read_page(parameters: Mapping[str, str]) -> Page:
    """The query of a list. Raises RefusedError(400)."""
    limit = parameters.get("limit", str(DEFAULT_PAGE))
    try:
        after = b64decode(parameters.get("cursor", "").encode(), b"-_", validate=True).decode()
        if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= MAX_PAGE):
            raise ValueError
    except ValueError:
        raise RefusedError(400, BAD_PAGE) from None
    if "\0" in after:
        raise RefusedError(400, BAD_PAGE)
    return Page(after, int(limit))


def read_rule(family: Family, body: bytes) -> tuple[str, dict[str, Any]]:
    """(name, {member: new value}) of what is to be decided; null takes a decision back. Raises RefusedError(400)."""
    document = parse_object(body)
    wanted = BAD_RULE % ", ".join(family.members)
    if document is None or unsound(document) is not None or document.keys() - {"name", *family.members}:
        raise elements.refused(wanted, document, names=frozenset(("name", *family.members)))
    name = document.pop("name", None)
    name = known_name(family, name) if isinstance(name, str) else None
    if name is None:
        raise RefusedError(400, BAD_NAME)
    if not document:
        raise RefusedError(400, wanted)
    return name, checked(document)


def known_name(family: Family, name: str) -> str | None:
    """The name as it is applied, None when nothing can have it."""
    if family is ATTRIBUTES:
        return valid_name(name)
    name = name.strip()
    return name if 0 < len(name) <= MAX_CHARACTERS else None


def checked(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule with values that can be applied. Raises RefusedError(400)."""
    type_, maximum, blocked = rule.get("type"), rule.get("array_max"), rule.get("blocked")
    if type_ is not None and type_ not in TYPES:
        raise elements.refused(f"'type' must be one of {', '.join(TYPES)}, or null", rule)
    whole = None if maximum is None else numbers.integer(maximum)
    if maximum is not None and (whole is None or not 1 <= whole <= MAX_ARRAY):
        raise RefusedError(400, f"'array_max' must be a number from 1 to {MAX_ARRAY}, or null")
    if blocked is not None and not isinstance(blocked, bool):
        raise RefusedError(400, "'blocked' must be true or false")
    return rule if whole is None else {**rule, "array_max": whole}


def change(family: Family, name: str, rule: dict[str, Any], settings: ApplySettings) -> dict[str, Any]:
    """The values of the change of settings. `settings` are those of now. Raises RefusedError(400)."""
    rules: dict[str, Any] = getattr(settings, family.setting)
    if name not in rules and len(rules) >= MAX_RULES:
        raise RefusedError(400, TOO_MANY)
    return {family.setting: {name: rule if family is ATTRIBUTES else bool(rule["blocked"])}}


def entry(family: Family, name: str, counts: dict[str, int], settings: ApplySettings) -> dict[str, object]:
    """One name as it is listed."""
    found = getattr(settings, family.setting).get(name)
    if family is not ATTRIBUTES:
        shown: dict[str, object] = {"name": name, "count": counts.get("", 0), "blocked": bool(found)}
        refused = {fault: count for fault, count in counts.items() if fault}
        return {**shown, "refused": refused} if refused else shown
    rule: dict[str, Any] = found or {}
    return {
        "name": name,
        "types": counts,
        "type": rule.get("type"),
        "array_max": rule.get("array_max"),
        "blocked": bool(rule.get("blocked")),
    }


def listing(family: Family, found: dict[str, dict[str, int]], settings: ApplySettings, page: Page) -> dict[str, object]:
    """A page: what was written and what has a rule, in one order. `found` is the page of what was written."""
    rules: dict[str, Any] = getattr(settings, family.setting)
    # Characters compare as their UTF-8 bytes do, which is how the stores compare.
    named = sorted({*found, *(name for name in rules if name > page.after)})
    shown = named[: page.limit]
    document: dict[str, object] = {
        family.title: [entry(family, name, found.get(name, {}), settings) for name in shown],
        "message": "success",
    }
    if len(named) > page.limit or (shown and len(found) == page.limit):
        document["next_cursor"] = urlsafe_b64encode(shown[-1].encode()).decode()
    return document
