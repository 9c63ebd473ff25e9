"""Books of visitors: who has which device, and what was done on it, each thing once.

The rules are those of docs/sdk.md and docs/tracking.md. A device that nobody knows has a visitor of its own. A visitor
who logs in becomes the person, or goes into it; from a known person the device moves alone. Whatever several devices of
one person do at the same time adds up, so the books need not know in which order it was applied.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from fault.ledger import Entry

#: Attributes that several devices of a person write: which of them was last, only the reference knows.
SHARED: Final = frozenset(("group_id", "group_traits"))


@dataclass(slots=True)
class Visitor(Entry):
    """Whoever uses a device: a person with an external id, or somebody who has not logged in."""

    external_id: str | None = None
    sessions: int = 0
    devices: set[str] = field(default_factory=set)
    #: (label, name).
    aliases: set[tuple[str, str]] = field(default_factory=set)


class Visitors:
    """Everybody who is there."""

    def __init__(self) -> None:
        self.people: dict[str, Visitor] = {}
        self.owners: dict[str, Visitor] = {}
        #: Device -> its push tokens, which move with it, and the session that goes on.
        self.tokens: dict[str, set[str]] = defaultdict(set)
        self._sessions: dict[str, str] = {}
        #: What happened in each app, whoever did it: (app, name) -> how often, and sessions by app.
        self.events: Counter[tuple[str, str]] = Counter()
        self.sessions: Counter[str] = Counter()
        #: Pieces and cents by app.
        self.sold: Counter[str] = Counter()
        self.cents: Counter[str] = Counter()

    def owner(self, device: str) -> Visitor:
        """Who has a device now."""
        if device not in self.owners:
            self._give(device, Visitor())
        return self.owners[device]

    def person(self, user: str) -> Visitor:
        """The person of an external id, who is made where there is none."""
        if user not in self.people:
            self.people[user] = Visitor(external_id=user)
        return self.people[user]

    def everybody(self) -> list[Visitor]:
        """The people, and the visitors who have not logged in: each of those has one device."""
        return [*self.people.values(), *(visitor for visitor in self.owners.values() if visitor.external_id is None)]

    # -- what devices say --------------------------------------------------------------------------------------------

    def log_in(self, device: str, user: str) -> None:
        visitor = self.owner(device)
        known = self.people.get(user)
        if known is visitor:
            return
        if known is None and visitor.external_id is None:
            visitor.external_id = user
            self.people[user] = visitor
        elif visitor.external_id is None:
            self._join(visitor, self.person(user))
        else:
            self._give(device, self.person(user))

    def log_out(self, device: str) -> None:
        if self.owner(device).external_id is not None:
            self._give(device, Visitor())

    def session(self, app: str, device: str, session: str) -> None:
        """A session begins; "" for one without an id. The one that goes on does not begin again."""
        visitor = self.owner(device)
        if session and self._sessions.get(device) == session:
            return
        if session:
            self._sessions[device] = session
        visitor.sessions += 1
        self.sessions[app] += 1

    def event(self, app: str, visitor: Visitor, name: str) -> None:
        visitor.events[name] += 1
        self.events[app, name] += 1

    def purchase(self, app: str, visitor: Visitor, product: str, cents: int) -> None:
        visitor.purchases[product] += 1
        visitor.cents += cents
        self.sold[app] += 1
        self.cents[app] += cents

    def token(self, device: str, token: str) -> None:
        self.owner(device)
        self.tokens[device].add(token)

    def _give(self, device: str, visitor: Visitor) -> None:
        before = self.owners.get(device)
        if before is not None:
            before.devices.discard(device)
        visitor.devices.add(device)
        self.owners[device] = visitor

    def _join(self, source: Visitor, kept: Visitor) -> None:
        kept.last = source.last | kept.last  # what the person has already stays
        kept.events.update(source.events)
        kept.purchases.update(source.purchases)
        kept.cents += source.cents
        kept.sessions += source.sessions
        kept.aliases |= source.aliases
        for device in list(source.devices):
            self._give(device, kept)

    # -- what has to be seen -----------------------------------------------------------------------------------------

    def expected(self, visitor: Visitor) -> dict[str, Any]:
        """A visitor as an export has to show them, in the form of `shown`."""
        return {
            "external_id": visitor.external_id,
            "aliases": sorted(visitor.aliases),
            "devices": sorted(visitor.devices),
            "tokens": sorted(token for device in visitor.devices for token in self.tokens.get(device, ())),
            "sessions": visitor.sessions,
            "custom": dict(sorted(visitor.last.items())),
            "events": dict(sorted(visitor.events.items())),
            "purchases": dict(sorted(visitor.purchases.items())),
            "cents": visitor.cents,
        }


def shown(user: dict[str, Any]) -> dict[str, Any]:
    """An exported user, in the form of `Visitors.expected`."""
    custom = user.get("custom_attributes", {})
    return {
        "external_id": user.get("external_id"),
        "aliases": sorted((one["alias_label"], one["alias_name"]) for one in user.get("user_aliases", ())),
        "devices": sorted(one["device_id"] for one in user.get("devices", ())),
        "tokens": sorted(one["token"] for one in user.get("push_tokens", ())),
        "sessions": sum(one["sessions"] for one in user.get("apps", ())),
        "custom": {name: value for name, value in sorted(custom.items()) if name not in SHARED},
        "events": _counts(user.get("custom_events", ())),
        "purchases": _counts(user.get("purchases", ())),
        "cents": round(user.get("total_revenue", 0) * 100),
    }


def _counts(summaries: Iterable[dict[str, Any]]) -> dict[str, int]:
    return dict(sorted((one["name"], one["count"]) for one in summaries))
