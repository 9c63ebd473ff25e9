"""Which profiles are blocked, and what a block lets through."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.apply import reduce
from app.domain.commands import (
    ChangeFlags,
    Command,
    Delete,
    Identify,
    Merge,
    NewAlias,
    RecordMessage,
    RenameExternalId,
    Request,
    Selector,
    SetEmailState,
    TrackAttributes,
    TrackEvent,
    TrackPurchase,
    UndoMerge,
)
from app.domain.profile import ALIAS, EMAIL, EXTERNAL, SPAM_BLOCKED, Identifier
from app.domain.settings import ApplySettings
from app.domain.state import State
from tests.domain.builders import profile, state_of

ADA: Identifier = (EXTERNAL, "", "ada")
BOB: Identifier = (EXTERNAL, "", "bob")
GUEST: Identifier = (ALIAS, "crm", "7")
SETTINGS = ApplySettings(spam_sessions=100, spam_event_names=3, spam_product_ids=2)


def event(who: Identifier, name: str, index: int = 0) -> TrackEvent:
    return TrackEvent(index, who, None, name, 1, None, None)


def purchase(who: Identifier, product_id: str) -> TrackPurchase:
    return TrackPurchase(0, who, None, product_id, "USD", Decimal(1), 1, 1, None, None)


def attributes(who: Identifier, **fields: object) -> TrackAttributes:
    return TrackAttributes(0, who, None, merge_objects=False, fields=fields, custom={"n": 1})


def apply(state: State, *commands: Command, us: int = 1_000) -> list[str]:
    """The reasons why something had no effect."""
    before = len(state.changes.problems)
    reduce([Request(0, us, us, list(commands), "backend")], state, 1, b"s")
    return [problem.reason for problem in state.changes.problems[before:]]


def people(settings: ApplySettings = SETTINGS, **ada: Any) -> State:
    one = profile(1, external_id="ada", email="a@example.org", **ada)
    state = state_of(one, profile(2, aliases={"crm": "7"}), profile(3, external_id="bob"))
    state.settings = settings
    return state


def summaries(count: int) -> dict[str, list[int]]:
    return {f"known-{n}": [1, 1, 1] for n in range(count)}


@pytest.mark.parametrize(
    ("before", "command", "settings", "blocked"),
    [
        ({"events": summaries(2)}, event(ADA, "new"), SETTINGS, False),
        ({"events": summaries(3)}, event(ADA, "new"), SETTINGS, True),
        ({"events": summaries(3)}, event(ADA, "known-1"), SETTINGS, False),
        ({"events": summaries(9)}, event(ADA, "known-1"), SETTINGS, False),
        ({"events": summaries(3)}, event(ADA, "new"), ApplySettings(spam_event_names=0), False),
        ({"events": summaries(20_000)}, event(ADA, "new"), ApplySettings(), True),
        ({"events": summaries(19_999)}, event(ADA, "new"), ApplySettings(), False),
        ({"purchases": summaries(1)}, purchase(ADA, "new"), SETTINGS, False),
        ({"purchases": summaries(2)}, purchase(ADA, "new"), SETTINGS, True),
        ({"purchases": summaries(9)}, event(ADA, "new"), SETTINGS, False),
        ({"purchases": summaries(20_000)}, purchase(ADA, "new"), ApplySettings(), True),
        ({"session_count": 100}, event(ADA, "new"), SETTINGS, False),
        ({"session_count": 101}, event(ADA, "new"), SETTINGS, True),
        ({"session_count": 5_000_001}, event(ADA, "new"), ApplySettings(), True),
        ({"session_count": 101}, event(ADA, "new"), ApplySettings(spam_sessions=0), False),
    ],
    ids=range(15),
)
def test_the_bounds(before: dict[str, Any], command: Command, settings: ApplySettings, blocked: bool) -> None:
    state = people(settings, **before)
    assert apply(state, command) == []  # what exceeds the bound is the last thing that is taken
    assert bool(state.profiles[1].flags & SPAM_BLOCKED) is blocked
    lines = [(pid, line.what) for pid, lines in state.changes.history.items() for line in lines]
    assert lines == [(1, "blocked")] * blocked
    assert state.changes.counts.blocked == blocked


@pytest.mark.parametrize(
    ("command", "reasons"),
    [
        (event(ADA, "known-1"), ["profile_blocked"]),
        (event((EMAIL, "", "a@example.org"), "known-1"), ["profile_blocked"]),
        (purchase(ADA, "p"), ["profile_blocked"]),
        (attributes(ADA, email="b@example.org"), ["profile_blocked"]),
        (RecordMessage(0, ADA, "email_opened"), ["profile_blocked"]),
        (Merge(0, Selector(ADA), Selector(BOB)), ["profile_blocked"]),
        (Merge(0, Selector(BOB), Selector(ADA)), ["profile_blocked"]),
        (Identify("aliases_to_identify", 0, "ada", Selector(GUEST), merge=True), ["profile_blocked"]),
        (Identify("aliases_to_identify", 0, "ada", Selector(GUEST), merge=False), ["profile_blocked"]),
        (NewAlias(0, "ada", "crm", "8"), ["profile_blocked"]),
        # Consent and what leads to the profile are nobody's activity.
        (SetEmailState(0, "a@example.org", "unsubscribed"), []),
        (RenameExternalId(0, "ada", "eve"), []),
        (ChangeFlags(0, ADA, 1, 0), []),
    ],
    ids=range(13),
)
def test_what_a_blocked_profile_takes(command: Command, reasons: list[str]) -> None:
    state = people(flags=SPAM_BLOCKED, events=summaries(1))
    size = state.profiles[1].size
    assert apply(state, command) == reasons
    assert set(state.profiles) == {1, 2, 3}
    assert state.profiles[1].size >= size
    assert not reasons or state.changes.sections == {}


def test_a_blocked_guest_gets_no_external_id() -> None:
    state = people()
    state.profiles[2].flags = SPAM_BLOCKED
    assert apply(state, Identify("aliases_to_identify", 0, "new", Selector(GUEST), merge=True)) == ["profile_blocked"]
    assert state.profiles[2].external_id is None


def test_a_merge_may_exceed_the_bounds_and_is_taken_back_without_the_block() -> None:
    state = people(events=summaries(2))
    state.profiles[3].events = {"a": [1, 1, 1], "b": [1, 1, 1]}
    assert apply(state, Merge(0, Selector(BOB), Selector(ADA))) == []
    assert state.profiles[1].flags == SPAM_BLOCKED
    (merge_id,) = state.records
    assert apply(state, UndoMerge(0, merge_id), us=2_000) == []
    assert (state.profiles[1].flags, state.profiles[3].flags) == (SPAM_BLOCKED, 0)  # an operator ends it
    assert apply(state, ChangeFlags(0, ADA, 0, SPAM_BLOCKED), event(ADA, "new", 1), us=3_000) == []
    assert state.profiles[1].flags == 0


_WHO = st.sampled_from(["ada", "bob"])
_ACTIONS = st.one_of(
    st.tuples(st.just("event"), _WHO, st.sampled_from("abcdef")),
    st.tuples(st.just("block"), _WHO, st.just("")),
    st.tuples(st.just("lift"), _WHO, st.just("")),
    st.tuples(st.just("delete"), _WHO, st.just("")),
)


@given(st.lists(_ACTIONS, max_size=40), st.integers(0, 4))
def test_any_history_is_what_a_simple_model_says(actions: list[tuple[str, str, str]], most: int) -> None:
    """The model: names of each person, in whose set nothing comes any more once it is blocked."""
    state = State(complete=True, settings=ApplySettings(spam_event_names=most))
    names: dict[str, dict[str, int]] = {}
    blocked: set[str] = set()
    for n, (what, who, name) in enumerate(actions, 1):
        key: Identifier = (EXTERNAL, "", who)
        if what == "event":
            reasons = apply(state, event(key, name), us=n)
            assert reasons == (["profile_blocked"] if who in blocked else [])
            if who not in blocked:
                is_new = name not in names.setdefault(who, {})
                names[who][name] = names[who].get(name, 0) + 1
                if is_new and 0 < most < len(names[who]):
                    blocked.add(who)
        elif what == "delete":
            assert apply(state, Delete("external_ids", 0, Selector(key)), us=n) == (
                [] if who in names else ["profile_not_found"]
            )
            names.pop(who, None)
            blocked.discard(who)
        else:
            on, off = (SPAM_BLOCKED, 0) if what == "block" else (0, SPAM_BLOCKED)
            assert apply(state, ChangeFlags(0, key, on, off), us=n) == ([] if who in names else ["profile_not_found"])
            if who in names:
                (blocked.add if what == "block" else blocked.discard)(who)
    found = {one.external_id: {name: count[0] for name, count in (one.events or {}).items()} for one in _all(state)}
    assert found == names
    assert {one.external_id for one in _all(state) if one.flags & SPAM_BLOCKED} == blocked


def _all(state: State) -> list[Any]:
    return list(state.profiles.values())
