"""What clients ask for, with what it must do to the ledger. A new operation joins
`fault.identity.OPERATIONS`, and that is all."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fault.ledger import Address, Ledger, Person

TIME: Final = "2026-11-20T10:00:00Z"
TEXT: Final = "a text of a customer that is long enough to be worth compressing, and is never looked at again;"


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is: client `client` of the load makes its `n`th request, of at most `objects` objects."""

    client: int
    n: int
    objects: int
    people: Sequence[Person]
    #: Those whom this client alone writes about, and what it knows of everybody.
    own: Sequence[Person]
    ledger: Ledger
    rng: random.Random
    #: One GET: the document, or None where none was to be had, or one that may be out of date.
    ask: Callable[[str], dict[str, Any] | None]


@dataclass(frozen=True, slots=True)
class Sending:
    """A request and, once it was answered 2xx, what it did. `marker`, if any, stands in its body and in no other's.

    One that only `reads` is not in the inbox; `wrong` says what is wrong with its answer, "" for nothing.
    """

    path: str
    document: dict[str, Any]
    book: Callable[[Ledger], None]
    marker: str
    reads: bool = False
    wrong: Callable[[dict[str, Any]], str] = lambda _answer: ""


Operation = Callable[[Turn], Sending]


def track(turn: Turn) -> Sending:
    """Attributes, events and purchases of several people, each addressed by one of their names."""
    return track_people(turn, turn.people)


def track_by_id(turn: Turn) -> Sending:
    """`track` by names that nobody else can have. Such batches flow under a backlog."""
    return track_people(turn, turn.people, lambda person: person.addresses()[-1])


def track_people(turn: Turn, people: Sequence[Person], called: Callable[[Person], Address] | None = None) -> Sending:
    """`track` for some people, all of whom are there, by any of their names unless `called` says by which."""
    rng, marker = turn.rng, f"c{turn.client}-{turn.n}"
    document: dict[str, list[dict[str, Any]]] = {"attributes": [], "events": [], "purchases": []}
    written: list[tuple[int, str, Any]] = []
    for _ in range(rng.randint(1, turn.objects)):
        person = rng.choice(people)
        who, kind = called(person) if called else person.address(rng), rng.random()
        if kind < 0.6:
            amount = rng.randint(1, 3)
            last = {f"last-{turn.client}": marker}
            note = {f"note-{rng.randrange(8)}": TEXT * rng.randint(1, 2)} if turn.client == 0 else {}
            document["attributes"].append({**who, "logins": {"inc": amount}, **last, **note})
            written.append((person.number, "attributes", (amount, {**last, **note})))
        elif kind < 0.8:
            name = f"event-{rng.randrange(4)}"
            document["events"].append({**who, "name": name, "time": TIME, "properties": {"marker": marker}})
            written.append((person.number, "events", name))
        else:
            cents, product = rng.randrange(1, 9_999), f"product-{rng.randrange(3)}"
            sold = {"product_id": product, "currency": "USD", "price": cents / 100, "time": TIME}
            document["purchases"].append({**who, **sold, "properties": {"marker": marker}})
            written.append((person.number, "purchases", (product, cents)))

    return Sending(
        "/users/track", {k: v for k, v in document.items() if v}, lambda ledger: _book(ledger, written), marker
    )


def _book(ledger: Ledger, written: Sequence[tuple[int, str, Any]]) -> None:
    for number, array, what in written:
        entry = ledger.entries[number]
        if array == "attributes":
            entry.sums["logins"] += what[0]
            entry.last |= what[1]
        elif array == "events":
            entry.events[what] += 1
        else:
            entry.purchases[what[0]] += 1
            entry.cents += what[1]


def crush(turn: Turn) -> Sending:
    """225 objects for one person, as the plan `legacy` allows."""
    rng, marker, person = turn.rng, f"c{turn.client}-{turn.n}", turn.people[0]
    cents = rng.randrange(1, 999)
    last = f"last-{turn.client}"
    attributes = [{**person.address(rng), "logins": {"inc": 1}, last: f"{marker}-{i}"} for i in range(75)]
    events = [{**person.address(rng), "name": "event-0", "time": TIME} for _ in range(75)]
    sold = {"product_id": "product-0", "currency": "USD", "price": cents / 100, "time": TIME}
    purchases = [{**person.address(rng), **sold} for _ in range(75)]

    def book(ledger: Ledger) -> None:
        entry = ledger.entries[person.number]
        entry.sums["logins"] += 75
        entry.last[last] = f"{marker}-74"
        entry.events["event-0"] += 75
        entry.purchases["product-0"] += 75
        entry.cents += 75 * cents

    document = {"attributes": attributes, "events": events, "purchases": purchases}
    return Sending("/users/track", document, book, f"{marker}-74")


def poison(turn: Turn) -> Sending:
    """An event that `fault.poisoned` chokes on: accepted, never applied, no effect."""
    marker = f"poison-{turn.client}-{turn.n}"
    event = {**turn.people[0].address(turn.rng), "name": "poison", "time": TIME, "properties": {"marker": marker}}
    return Sending("/users/track", {"events": [event]}, lambda _ledger: None, marker)


def founding(people: Sequence[Person], part: int) -> Sending:
    """The first request about everybody."""
    marker = f"founding-{part}"

    def book(ledger: Ledger) -> None:
        for person in people:
            ledger.entries[person.number].last["founded"] = marker

    objects = [{**person.founding(), "founded": marker} for person in people]
    return Sending("/users/track", {"attributes": objects}, book, marker)
