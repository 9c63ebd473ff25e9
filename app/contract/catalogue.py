"""The contract's lists of names of events, attributes and products (spec events-purchases.md 5).

They show what was ever applied, in the order of characters, beside what is decided about a name.
"""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.contract.errors import RefusedError
from app.domain import data_rules
from app.domain.settings import ApplySettings

#: Names in a page of the lists that have numbered pages, and of those that have cursors.
PAGE: Final = 250
NAMES_PAGE: Final = 50
#: Pages that a number can ask for: a catalogue has fewer.
MAX_PAGE: Final = 10_000
MAX_CURSOR: Final = 2_000

BAD_CURSOR: Final = "'cursor' must be that of the Link header of another page"

_TYPES: Final = {
    data_rules.BOOLEAN: "Boolean",
    data_rules.NUMBER: "Number",
    data_rules.STRING: "String",
    data_rules.TIMES: "Time",
    data_rules.ARRAY: "Array",
    data_rules.OBJECT: "Object",
    data_rules.OBJECT_ARRAY: "Object Array",
}


@dataclass(frozen=True, slots=True)
class Names:
    """A page of names: {name: {type: how often}}, whether there are more, and the settings with the rules of names."""

    counts: dict[str, dict[str, int]]
    more: bool
    settings: ApplySettings


def read_page(parameters: Mapping[str, str]) -> int:
    """The number of a page. What cannot be read is the first one: clients send `<integer>`."""
    page = parameters.get("page", "")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 9 else 0
    return min(number, MAX_PAGE)


def read_cursor(parameters: Mapping[str, str]) -> str:
    """The name behind which a page begins; "" for the first one. Raises RefusedError(400)."""
    sent = parameters.get("cursor", "")
    try:
        after = b64decode(sent.encode(), b"-_", validate=True).decode()
    except ValueError:
        raise RefusedError(400, BAD_CURSOR) from None
    if len(sent) > MAX_CURSOR or "\0" in after:
        raise RefusedError(400, BAD_CURSOR)
    return after


def link(path: str, names: Names) -> str | None:
    """The header `Link` of a page: where the next one is. None for the last one."""
    if not names.more:
        return None
    cursor = urlsafe_b64encode(list(names.counts)[-1].encode()).decode()
    return f'<{path}?cursor={cursor.replace("=", "%3D")}>; rel="next"'


def events(names: Names) -> dict[str, object]:
    """The answer of GET /events."""
    blocked = names.settings.blocked_events
    return {
        "events": [
            {
                "name": name,
                "description": "",
                "included_in_analytics_report": True,
                "status": _status(blocked.get(name)),
                "tag_names": [],
            }
            for name in names.counts
        ]
    }


def attributes(names: Names) -> dict[str, object]:
    """The answer of GET /custom_attributes."""
    shown: list[dict[str, object]] = []
    for name, counts in names.counts.items():
        rule: dict[str, Any] = names.settings.attributes.get(name, {})
        forced = rule.get("type") or data_rules.BUILT_IN.get(name, {}).get("type")
        # Of types that were written equally often, the first by its name: the answer does not change by chance.
        type_ = forced or min(counts, key=lambda type_: (-counts[type_], type_))
        is_array = type_ == data_rules.ARRAY
        shown.append(
            {
                "name": name,
                "data_type": _TYPES[type_] if forced else f"{_TYPES[type_]} (Automatically Detected)",
                "description": "",
                "array_length": rule.get("array_max", names.settings.array_max) if is_array else None,
                "status": _status(rule.get("blocked")),
                "tag_names": [],
            }
        )
    return {"attributes": shown}


def _status(blocked: object) -> str:
    return "Blocklisted" if blocked else "Active"
