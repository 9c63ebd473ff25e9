"""Operations that set consent. Each client has a subscription group of its own, so its last word is the last one."""

from collections.abc import Sequence
from typing import Any, Final

from fault.ledger import Ledger, Person
from fault.operations import Sending, Turn

#: Groups of a workspace: one for each client of the largest load.
GROUPS: Final = 64
STATES: Final = ("subscribed", "unsubscribed")


def group_of(client: int) -> str:
    """The group that is a client's own."""
    return f"group-{client % GROUPS}"


def subscribe(turn: Turn) -> Sending:
    """Set the states of some people in the client's group, by any of the ways to do so."""
    group, some = group_of(turn.client), turn.rng.sample(list(turn.people), min(3, len(turn.people)))
    states = {person.number: turn.rng.choice(STATES) for person in some}
    path, document = turn.rng.choice((_one, _several, _attributes))(group, some, states)
    if path == "/subscription/status/set":
        states = {some[0].number: states[some[0].number]}

    def book(ledger: Ledger) -> None:
        for number, state in states.items():
            ledger.entries[number].groups[group] = state

    return Sending(path, document, book, "")


def _one(group: str, people: Sequence[Person], states: dict[int, str]) -> tuple[str, dict[str, Any]]:
    person = people[0]
    who = {"email": [person.email]} if person.external_id is None else {"external_id": person.external_id}
    state = {"subscription_group_id": group, "subscription_state": states[person.number]}
    return "/subscription/status/set", {**state, **who}


def _several(group: str, people: Sequence[Person], states: dict[int, str]) -> tuple[str, dict[str, Any]]:
    changes = [
        {"subscription_group_id": group, "subscription_state": states[person.number], "emails": [person.email]}
        for person in people
    ]
    return "/v2/subscription/status/set", {"subscription_groups": changes}


def _attributes(group: str, people: Sequence[Person], states: dict[int, str]) -> tuple[str, dict[str, Any]]:
    objects = [
        {
            "email": person.email,
            "subscription_groups": [{"subscription_group_id": group, "subscription_state": states[person.number]}],
        }
        for person in people
    ]
    return "/users/track", {"attributes": objects}
