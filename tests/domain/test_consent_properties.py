"""Consent that holds: as long as somebody has an address, nothing but an explicit call subscribes it again."""

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import stored
from app.contract.errors import RefusedError
from app.domain.apply import reduce
from app.domain.commands import (
    AddressEvent,
    Command,
    Delete,
    Request,
    SetEmailState,
    SetGroupState,
    TrackAttributes,
    UndoMerge,
)
from app.domain.effects import EFFECTS
from app.domain.profile import CHANNEL_EMAIL, CHANNEL_KINDS, UNSUBSCRIBED, Address, is_group
from app.domain.state import State
from app.domain.times import DAY
from tests.accepting import CHECKS
from tests.people import People
from tests.stores import NOW_US


def refusals(state: State) -> set[Address]:
    """Consent of addresses that somebody has and that are unsubscribed."""
    return {
        address
        for address in state.addresses
        if (address[2] == "" or is_group(address[2]))
        and state.is_held(address[0], address[1])
        and (found := state.address(address)) is not None
        and found.state == UNSUBSCRIBED
    }


def says(command: Command, address: Address) -> bool:
    """Whether a command says itself what the state of the address is to be."""
    channel, value, topic = address
    if isinstance(command, SetEmailState):
        return (channel, topic) == (CHANNEL_EMAIL, "") and command.email == value
    if isinstance(command, SetGroupState):
        return topic == command.group_id
    if isinstance(command, TrackAttributes):
        groups = command.fields.get("subscription_groups", ())
        assert isinstance(groups, list | tuple)
        return "email_subscribe" in command.fields if topic == "" else topic in {entry[0] for entry in groups}
    return False


def commands_of(people: People, random: Random, state: State) -> list[Command]:
    merges = [record.id for record in state.records.values() if record is not None and record.undone is None]
    if merges and random.random() < 0.1:
        return [UndoMerge(0, random.choice(merges))]
    if random.random() < 0.05:
        return [AddressEvent("events", 0, "unsubscribe", (4, "", people.email()))]
    path, body = people.request()
    try:
        checked = CHECKS[path](msgspec.json.encode(body))
    except RefusedError:
        return []
    return [] if checked is None else stored.commands(checked.kind, checked.codec, checked.body)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_nothing_but_an_explicit_call_subscribes_an_address(seed: int) -> None:
    people, random = People(seed, many=2 + seed % 4), Random(seed)
    state, now, seen = State(complete=True), NOW_US, 0
    for seq in range(1, 60):
        now += random.choice((1_000, 1_000, 1_000, 9 * DAY, 31 * DAY))
        for ordinal, command in enumerate(commands_of(people, random, state)):
            now += 1_000
            before = refusals(state)
            holders = {
                address[:2]: set(state.index.get((CHANNEL_KINDS[address[0]], "", address[1]), ())) for address in before
            }
            reduce([Request(0, seq * 1_000 + ordinal, now, [command])], state, 1, b"secret")
            seen += len(before)
            for address in before - refusals(state):
                if not state.is_held(*address[:2]):
                    if isinstance(command, Delete):
                        assert not state.topics(*address[:2]), f"seed {seed}: {command} left {address}"
                    continue
                assert holders[address[:2]]
                assert says(command, address), f"seed {seed}: {command} subscribed {address}"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32))
def test_what_is_recorded_of_nobody_ends(seed: int) -> None:
    """Only what somebody has is kept without end, and a forgotten state is never inherited."""
    people, random = People(seed, many=3), Random(seed)
    state, now = State(complete=True), NOW_US
    for seq in range(1, 50):
        now += random.choice((1_000, 9 * DAY, 31 * DAY))
        reduce([Request(0, seq, now, commands_of(people, random, state))], state, 1, b"secret")
        for (channel, address, _), found in state.addresses.items():
            if found is not None:
                assert state.is_held(channel, address) is (found.forget_us is None)
                assert found.forget_us is None or found.forget_us <= now + 30 * DAY


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32))
def test_whatever_takes_an_address_from_somebody_needs_what_is_recorded_of_it(seed: int) -> None:
    """So nobody looks for addresses that go where no consent is needed (workers/flow.py)."""
    people, random = People(seed, many=3), Random(seed)
    state = State(complete=True)
    for seq in range(1, 50):
        commands = commands_of(people, random, state)
        for command in commands:
            effect = EFFECTS[type(command)]
            if effect.leaves is not None:
                left, moving = set(effect.leaves(command, state)), False
                assert left <= set(effect.addresses(command, state, moving)), f"seed {seed}: {command}"
        reduce([Request(0, seq, NOW_US + seq, commands)], state, 1, b"secret")
