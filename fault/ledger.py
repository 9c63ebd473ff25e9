"""The clients' own books: what the profiles must show, counted from what was answered 2xx and from nothing of ours.

A person is known by several names at once, and every object picks one of them. Each client keeps a ledger alone; sums
are added up at the end, and `last` fields belong to one client each, so that they show the order.
"""

import random
from collections import Counter
from collections.abc import Iterable
from copy import copy, deepcopy
from dataclasses import dataclass, field
from typing import Any

Address = dict[str, Any]


@dataclass(slots=True)
class Person:
    """Somebody whom clients write about. `alias` is (label, name)."""

    number: int
    external_id: str | None
    alias: tuple[str, str] | None
    email: str
    phone: str
    #: Shared people are there from the beginning to the end; a client's own come and go.
    exists: bool = True

    def founding(self) -> Address:
        """The attributes object that makes this person's profile."""
        contacts = {"email": self.email, "phone": self.phone}
        if self.external_id is not None:
            return {"external_id": self.external_id, **contacts}
        assert self.alias is not None
        label, name = self.alias
        alias = {"alias_label": label, "alias_name": name}
        return {"user_alias": alias, "_update_existing_only": False, **contacts}

    def addresses(self) -> list[Address]:
        """Every name of the person, as it stands in an object."""
        found: list[Address] = [{"email": self.email}, {"phone": self.phone}]
        if self.external_id is not None:
            found.append({"external_id": self.external_id})
        if self.alias is not None:
            found.append({"user_alias": {"alias_label": self.alias[0], "alias_name": self.alias[1]}})
        return found

    def address(self, rng: random.Random) -> Address:
        return rng.choice(self.addresses())


def crowd(count: int) -> list[Person]:
    """`count` people: three of four have an external id, the others an alias only."""
    people = []
    for n in range(count):
        known = n % 4 != 3
        people.append(
            Person(
                n,
                f"user-{n}" if known else None,
                None if known else ("crm", f"lead-{n}"),
                f"p{n}@example.org",
                f"+49151{20_000_000 + n}",
            )
        )
    return people


def own_people(client: int, first: int, count: int) -> list[Person]:
    """People whom one client alone writes about, numbered from `first`. None of them is there yet."""
    people = crowd(count)
    for n, person in enumerate(people):
        person.number = first + n
        person.email, person.phone = f"own-{client}-{n}@example.org", f"+49152{20_000_000 + first + n}"
        person.exists = False
        if person.external_id is not None:
            person.external_id = f"own-{client}-{n}"
        else:
            person.alias = ("crm", f"own-{client}-{n}")
    return people


@dataclass(slots=True)
class Entry:
    """What is known of one person."""

    sums: Counter[str] = field(default_factory=Counter)
    last: dict[str, object] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    purchases: Counter[str] = field(default_factory=Counter)
    cents: int = 0
    #: State by subscription group.
    groups: dict[str, str] = field(default_factory=dict)
    #: Merges into this person that were not undone. One may leave no other trace.
    joins: int = 0

    def add(self, other: "Entry") -> None:
        self.sums.update(other.sums)
        self.last |= other.last
        self.events.update(other.events)
        self.purchases.update(other.purchases)
        self.cents += other.cents
        self.groups |= other.groups


@dataclass(slots=True)
class Page:
    """A person and what is known of them, at one moment."""

    person: Person
    entry: Entry


@dataclass(slots=True)
class Joined:
    """A merge: the two pages before it, and the kept one after it."""

    source: Page
    kept: Page
    after: Page


class Ledger:
    """Books of one client, or of all."""

    def __init__(self, people: Iterable[Person]) -> None:
        self.people = list(people)
        self.entries = {person.number: Entry() for person in self.people}
        #: Pairs that were merged, both sides being there, how many were separated again, and how many of those while a
        #: later merge stood on them.
        self.merges = self.undone = self.taken_out = 0
        #: Merges that may be undone still, the last one last.
        self.joined: list[Joined] = []

    def add(self, other: "Ledger") -> None:
        """Take over what another client booked."""
        for number, entry in other.entries.items():
            self.entries[number].add(entry)
        self.merges += other.merges
        self.undone += other.undone
        self.taken_out += other.taken_out

    def page(self, person: Person) -> Page:
        """A copy of the person's page as it is now."""
        return Page(copy(person), deepcopy(self.entries[person.number]))

    def restore(self, person: Person, page: Page) -> None:
        """Make the person's page what it was."""
        person.external_id, person.alias, person.exists = page.person.external_id, page.person.alias, page.person.exists
        self.entries[person.number] = deepcopy(page.entry)

    def expected(self, person: Person) -> list[dict[str, Any]]:
        """The person's profile, if there is one, as an export has to show it, in the form of `shown`."""
        if not person.exists:
            return []
        entry = self.entries[person.number]
        profile = {
            "external_id": person.external_id,
            "aliases": [] if person.alias is None else [person.alias],
            "email": person.email,
            "phone": person.phone,
            "custom": dict(sorted({**entry.sums, **entry.last}.items())),
            "events": dict(sorted(entry.events.items())),
            "purchases": dict(sorted(entry.purchases.items())),
            "cents": entry.cents,
        }
        return [profile]


def shown(user: dict[str, Any]) -> dict[str, Any]:
    """An exported user, in the form of `Ledger.expected`."""
    return {
        "external_id": user.get("external_id"),
        "aliases": sorted((a["alias_label"], a["alias_name"]) for a in user.get("user_aliases", ())),
        "email": user.get("email"),
        "phone": user.get("phone"),
        "custom": dict(sorted(user.get("custom_attributes", {}).items())),
        "events": dict(sorted((e["name"], e["count"]) for e in user.get("custom_events", ()))),
        "purchases": dict(sorted((p["name"], p["count"]) for p in user.get("purchases", ()))),
        "cents": round(user.get("total_revenue", 0) * 100),
    }
