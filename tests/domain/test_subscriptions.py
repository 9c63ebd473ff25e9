"""Subscription groups: what merges make of their states, and what becomes of states that nobody has."""

from typing import Any

import pytest

from app.domain.apply import reduce
from app.domain.commands import Delete, Request, Selector, SetEmailState, SetGroupState
from app.domain.history import Origin
from app.domain.merging.merge import MERGE, NONE
from app.domain.merging.undo import undo
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    EMAIL,
    EXTERNAL,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Address,
    AddressState,
)
from app.domain.state import State
from app.domain.times import DAY
from tests.domain.builders import merged, profile, state_of

OURS, THEIRS = "k@example.org", "m@example.org"
YES, NO = AddressState(SUBSCRIBED, 5), AddressState(UNSUBSCRIBED, 3)
OWN_YES, OWN_NO = {"g": [SUBSCRIBED, 5]}, {"g": [UNSUBSCRIBED, 3]}


def at(address: str, channel: int = CHANNEL_EMAIL) -> Address:
    return (channel, address, "g")


@pytest.mark.parametrize(
    ("kept", "other", "recorded", "expected"),
    [
        # the kept profile's record, else the merged one's
        ({"email": OURS}, {"email": THEIRS}, {THEIRS: YES}, {OURS: YES}),
        ({"email": OURS}, {"email": THEIRS}, {THEIRS: NO}, {OURS: NO}),
        ({"email": OURS}, {"email": THEIRS}, {OURS: YES, THEIRS: NO}, {OURS: YES}),
        ({"email": OURS}, {"email": THEIRS}, {OURS: NO, THEIRS: YES}, {OURS: NO}),
        # one address has one state
        ({"email": OURS}, {"email": OURS}, {OURS: NO}, {OURS: NO}),
        # an address comes with its state, and joins what a profile without one said: the more restrictive counts
        ({}, {"email": THEIRS}, {THEIRS: NO}, {THEIRS: NO}),
        ({"email_groups": OWN_YES}, {"email": THEIRS}, {}, {THEIRS: YES}),
        ({"email_groups": OWN_YES}, {"email": THEIRS}, {THEIRS: NO}, {THEIRS: NO}),
        ({"email_groups": OWN_NO}, {"email": THEIRS}, {THEIRS: YES}, {THEIRS: NO}),
        ({"email": OURS}, {"email_groups": OWN_NO}, {OURS: YES}, {OURS: NO}),
        ({"email": OURS}, {"email_groups": OWN_YES}, {OURS: NO}, {OURS: NO}),
        ({"email": OURS}, {"email_groups": OWN_YES}, {}, {OURS: YES}),
    ],
)
def test_states_of_addresses(
    kept: dict[str, Any], other: dict[str, Any], recorded: dict[str, AddressState], expected: dict[str, AddressState]
) -> None:
    given = {at(address): state for address, state in recorded.items()}
    one, state, _ = merged(profile(1, **kept), profile(2, **other), MERGE, given)
    held = {a: found for a, found in state.addresses.items() if found is not None and state.is_held(*a[:2])}
    assert held == {at(address): found for address, found in expected.items()}
    assert "email_groups" not in (one.core or {})


def test_states_of_numbers() -> None:
    kept = profile(1, phone_groups=OWN_NO)
    other = profile(2, phone="+1", phone_raw="1")
    one, state, _ = merged(kept, other, MERGE, {at("+1", CHANNEL_PHONE): YES})
    assert state.address(at("+1", CHANNEL_PHONE)) == NO
    assert (one.core or {}).get("phone_groups") is None
    unread, state, _ = merged(profile(1, phone_groups=OWN_NO, phone_raw="x"), profile(2, phone="+1", phone_raw="1"))
    assert (unread.core or {})["phone_groups"] == OWN_NO


def test_the_policy_none_takes_no_states_along() -> None:
    one, state, plan = merged(profile(1, email=OURS), profile(2, email=THEIRS), NONE, {at(THEIRS): YES})
    assert plan.groups == ()
    assert state.address(at(OURS)) is None
    assert "email_groups" not in (one.core or {})


def test_an_undo_gives_a_state_back_and_subscribes_nobody() -> None:
    for theirs, left in ((YES, None), (NO, NO)):
        _, state, _ = merged(profile(1, email=OURS), profile(2, email=THEIRS), MERGE, {at(THEIRS): theirs})
        assert state.address(at(OURS)) == theirs
        assert undo(state, "m1", Origin(0, 8, 0, 2_000)) == ""
        assert state.address(at(OURS)) == left
        assert state.address(at(THEIRS)) == theirs
        record = state.records["m1"]
        assert record is not None
        assert record.unseparated == ([] if left is None else ["email_groups.g"])


def run(state: State, now_us: int, *commands: Any) -> None:
    reduce([Request(0, now_us, now_us, list(commands))], state, 1, b"secret")


def test_a_state_of_nobody_is_inherited_for_thirty_days() -> None:
    said = SetGroupState("email", 0, (EMAIL, "", OURS), CHANNEL_EMAIL, "g", UNSUBSCRIBED)
    for days, inherited in ((29, True), (30, False), (31, False)):
        state = state_of(profile(1, external_id="a"))
        run(state, DAY, said, SetEmailState(0, OURS, UNSUBSCRIBED))
        assert {found.forget_us for found in state.addresses.values() if found is not None} == {31 * DAY}
        run(state, DAY + 10)
        state.now_us = (1 + days) * DAY
        state.set_core(state.profiles[1], "email", OURS)
        assert set(state.topics(CHANNEL_EMAIL, OURS)) == ({"", "g"} if inherited else set())


def test_a_state_that_is_set_again_waits_again() -> None:
    state = state_of()
    run(state, DAY, SetEmailState(0, OURS, UNSUBSCRIBED))
    run(state, 20 * DAY, SetEmailState(0, OURS, UNSUBSCRIBED))
    assert state.addresses[CHANNEL_EMAIL, OURS, ""] == AddressState(UNSUBSCRIBED, DAY, 50 * DAY)
    run(state, 21 * DAY, SetEmailState(0, OURS, SUBSCRIBED))
    assert state.addresses[CHANNEL_EMAIL, OURS, ""] == AddressState(SUBSCRIBED, 21 * DAY, 51 * DAY)


def test_the_last_holder_takes_the_states_along_when_deleted() -> None:
    people = [profile(1, external_id="a", email=OURS), profile(2, external_id="b", email=OURS)]
    state = state_of(*people, addresses={at(OURS): NO})
    for who, left in (("a", {at(OURS): NO}), ("b", {})):
        run(state, DAY, Delete("external_ids", 0, Selector((EXTERNAL, "", who))))
        assert {address: found for address, found in state.addresses.items() if found is not None} == left
