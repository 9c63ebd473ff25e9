"""Asking for states of subscription groups: GET /subscription/status/get and /subscription/user/status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from app.contract import addresses
from app.contract.elements import MAX_ELEMENTS
from app.contract.errors import RefusedError
from app.contract.identifiers import MAX_EXTERNAL_ID_BYTES
from app.contract.subscription_groups import group_id
from app.contract.subscriptions import INVALID_GROUP, NO_SELECTOR, NOT_BOTH, TOO_MANY
from app.domain.profile import EMAIL, EXTERNAL, PHONE, SUBSCRIBED, UNSUBSCRIBED, Identifier

MAX_PAGE: Final = 100
BAD_PAGE: Final = f"'limit' must be a number from 1 to {MAX_PAGE}, 'offset' a number from 0"
UNKNOWN: Final = "Unknown"
_SHOWN: Final = {SUBSCRIBED: "Subscribed", UNSUBSCRIBED: "Unsubscribed"}
_KINDS: Final = {"external_id": EXTERNAL, "email": EMAIL, "phone": PHONE}


class Query(Protocol):
    """Parameters of a query; a name may come several times."""

    def getlist(self, key: Any, /) -> list[str]:
        """All values of a name."""


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody who is asked for: as sent, and the identifier; None for a text that nobody can have."""

    sent: str
    key: Identifier | None


@dataclass(frozen=True, slots=True)
class GroupMember:
    """A recorded state of one group."""

    id: str
    name: str
    channel: str
    state: str


@dataclass(frozen=True, slots=True)
class Member:
    """A person with all recorded states of groups."""

    email: str | None
    phone: str | None
    external_id: str | None
    groups: Sequence[GroupMember]


def read_status(query: Query, region: str = addresses.DEFAULT_REGION) -> tuple[str, list[Named]]:
    """(group, who) of GET /subscription/status/get. Raises RefusedError."""
    named = _named(query, region)
    external = [one for kind, one in named if kind == EXTERNAL]
    kinds = {kind for kind, _ in named}
    if not external and {EMAIL, PHONE} <= kinds:
        raise RefusedError(400, NOT_BOTH)
    if not named:
        raise RefusedError(400, NO_SELECTOR)
    ids = query.getlist("subscription_group_id")
    group = group_id(ids[0]) if ids else None
    if group is None:
        raise RefusedError(400, INVALID_GROUP)
    return group, external or [one for _, one in named]


def read_user_status(query: Query, region: str = addresses.DEFAULT_REGION) -> tuple[list[Named], int, int]:
    """(who, limit, offset) of GET /subscription/user/status. Raises RefusedError."""
    named = [one for _, one in _named(query, region)]
    if not named:
        raise RefusedError(400, NO_SELECTOR)
    return named, *read_page(query, MAX_PAGE, MAX_PAGE)


def read_page(query: Query, default: int, most: int) -> tuple[int, int]:
    """(limit, offset). Raises RefusedError."""
    limit, offset = ((query.getlist(name) or [""])[-1].strip() for name in ("limit", "offset"))
    if not all(not value or (value.isascii() and value.isdigit() and len(value) < 10) for value in (limit, offset)):
        raise RefusedError(400, BAD_PAGE.replace(str(MAX_PAGE), str(most)))
    size = int(limit or default)
    if not 1 <= size <= most:
        raise RefusedError(400, BAD_PAGE.replace(str(MAX_PAGE), str(most)))
    return size, int(offset or 0)


def values_of(query: Query, name: str) -> list[str]:
    """The values of a parameter that may come several times, as `name` or `name[]`; blank ones were not sent."""
    return [value for value in (*query.getlist(name), *query.getlist(f"{name}[]")) if value]


def _named(query: Query, region: str) -> list[tuple[int, Named]]:
    found = []
    for name, kind in _KINDS.items():
        values = values_of(query, name)
        if len(values) > MAX_ELEMENTS:
            raise RefusedError(400, TOO_MANY)
        found += [(kind, Named(value, _key(kind, value, region))) for value in dict.fromkeys(values)]
    return found


def _key(kind: int, value: str, region: str) -> Identifier | None:
    if "\0" in value:
        return None
    if kind == EXTERNAL:
        return (EXTERNAL, "", value) if len(value.encode()) <= MAX_EXTERNAL_ID_BYTES else None
    # A plus sign that was not escaped arrives as a blank.
    read = addresses.email(value) if kind == EMAIL else addresses.phone(value.replace(" ", "+", 1), region)
    return None if read is None else (kind, "", read)


def status_answer(named: Sequence[Named], states: Mapping[str, str | None]) -> dict[str, object]:
    """The answer of GET /subscription/status/get. `states`: recorded ones by what was sent."""
    return {"status": {one.sent: _SHOWN.get(states.get(one.sent) or "", UNKNOWN) for one in named}}


def user_status_answer(members: Sequence[Member], total: int) -> dict[str, object]:
    """The answer of GET /subscription/user/status. `total`: people on all pages."""
    users = [
        {
            "email": member.email,
            "phone": member.phone,
            "external_id": member.external_id,
            "subscription_groups": [
                {"id": group.id, "name": group.name, "channel": group.channel, "status": _SHOWN[group.state]}
                for group in member.groups
            ],
        }
        for member in members
    ]
    return {"users": users, "total_count": total}
