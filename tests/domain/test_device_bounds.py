"""A profile has a bounded number of devices and push tokens: after a merge, a log-in and an undo too."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import sizes
from app.domain.history import Origin
from app.domain.identifiers import device_key, identifiers_of
from app.domain.merging.devices import oldest_beyond
from app.domain.merging.merge import MERGE, NONE, perform, plan_merge
from app.domain.merging.undo import undo
from app.domain.profile import BRAZE, DEVICES, Identifier, Profile
from app.domain.settings import ApplySettings
from app.domain.state import State
from tests.domain.builders import profile, state_of

MOST = 3
APP = "app"
ORIGIN, LATER = Origin(0, 7, 3, 1_000), Origin(0, 8, 0, 2_000)


def section(devices: dict[str, int], tokens: dict[str, int]) -> dict[str, Any]:
    """Devices and push tokens by when they were heard of."""
    found: dict[str, Any] = {}
    if devices:
        found["devices"] = {
            f"{APP}/{name}": {"app": APP, "id": name, "last_seen": moment} for name, moment in devices.items()
        }
    if tokens:
        found["tokens"] = {
            name: {"app": APP, "platform": "ios", "device_id": None, "at": moment} for name, moment in tokens.items()
        }
    return found


def names(one: Profile, kind: str = "devices") -> str:
    """One letter for each device or push token."""
    section_: dict[str, Any] = one.devices or {}
    held: dict[str, Any] = section_.get(kind, {})
    return "".join(sorted(key.removeprefix(f"{APP}/") for key in held))


def pair(kept: dict[str, Any], other: dict[str, Any]) -> State:
    state = state_of(profile(1, devices=kept), profile(2, devices=other))
    state.settings = ApplySettings(max_devices_per_profile=MOST)
    return state


def merge(state: State, policy: str = MERGE, in_hand: Identifier | None = None) -> None:
    plan = plan_merge(state.profiles[1], state.profiles[2], policy, state.topics, MOST, in_hand)
    perform(state, plan, ORIGIN, "m")


def check(state: State) -> None:
    """The index is that of the profiles, and so are their sizes."""
    held = {key: pids for key, pids in state.index.items() if pids and key[0] != BRAZE}
    assert held == {key: {one.pid} for one in state.profiles.values() for key in identifiers_of(one)}
    for one in state.profiles.values():
        assert one.size == sizes.of_profile(one)


Named = dict[str, int]
CASES: dict[str, tuple[Named, Named, str]] = {
    "nobody is too many": ({"a": 1}, {"b": 2, "c": 3}, "abc"),
    "the oldest of the kept profile goes": ({"a": 1, "b": 4}, {"c": 2, "d": 3}, "bcd"),
    "the oldest of the merged profile goes": ({"a": 3, "b": 4}, {"c": 1, "d": 2}, "abd"),
    "of the same moment the first name goes": ({"b": 1, "c": 1}, {"a": 1, "d": 1}, "bcd"),
    "many go at once": ({"a": 1, "b": 2, "c": 3}, {"d": 4, "e": 5, "f": 6}, "def"),
    "nothing came, so nothing goes": ({"a": 1, "b": 2, "c": 3, "d": 4}, {}, "abcd"),
}


@pytest.mark.parametrize("kind", ["devices", "tokens"])
@pytest.mark.parametrize("case", CASES)
def test_a_merge(case: str, kind: str) -> None:
    ours, theirs, expected = CASES[case]
    kept, other = (section(*((found, {}) if kind == "devices" else ({}, found))) for found in (ours, theirs))
    state = pair(kept, other)
    merge(state)
    assert names(state.profiles[1], kind) == expected
    check(state)
    assert undo(state, "m", LATER) == ""
    assert (names(state.profiles[1], kind), names(state.profiles[2], kind)) == ("".join(ours), "".join(theirs))
    check(state)


def test_devices_that_stay_behind_are_not_counted() -> None:
    """The policy `none` takes push tokens along, and no devices."""
    state = pair(section({"a": 1, "b": 2}, {"p": 1, "q": 2}), section({"c": 3, "d": 4}, {"r": 3, "s": 4}))
    merge(state, NONE)
    kept = state.profiles[1]
    assert (names(kept), names(kept, "tokens")) == ("ab", "qrs")
    check(state)


def test_the_device_in_hand_stays() -> None:
    state = pair(section({"b": 9, "c": 9, "d": 9}, {}), section({"a": 1}, {}))
    merge(state, in_hand=device_key(APP, "a"))
    assert names(state.profiles[1]) == "acd"
    check(state)


def test_the_plan_says_which_go() -> None:
    state = pair(section({"a": 1, "b": 4}, {}), section({"c": 2, "d": 3, "e": 0}, {}))
    plan = plan_merge(state.profiles[1], state.profiles[2], MERGE, state.topics, MOST)
    places = {
        change.path[2]: (change.kept is None, change.result is None)
        for change in plan.changes
        if change.path[0] == "devices"
    }
    assert places == {"app/c": (True, False), "app/d": (True, False), "app/a": (False, True)}
    assert [change.path[2] for change in plan.lost] == ["app/e"]
    assert set(plan.moved) == {device_key(APP, "c"), device_key(APP, "d")}
    assert device_key(APP, "e") in plan.retired
    assert device_key(APP, "a") not in plan.retired  # it was not the merged profile's


def test_an_undo_leaves_devices_with_whoever_has_them_now() -> None:
    state = pair(section({"a": 1, "b": 4}, {}), section({"c": 2, "d": 3, "e": 0}, {}))
    merge(state)
    visitor = profile(3, devices=section({"a": 7, "e": 8}, {}))
    state.create(visitor)
    for key in sorted(identifiers_of(visitor)):
        state.add_identifier(visitor, key)
    assert undo(state, "m", LATER) == ""
    assert [names(state.profiles[pid]) for pid in (1, 2, 3)] == ["b", "cd", "ae"]
    check(state)


@st.composite
def moments(draw: st.DrawFn, letters: str) -> Named:
    return {name: draw(st.integers(0, 4)) for name in draw(st.lists(st.sampled_from(letters), unique=True))}


@given(moments("abcd"), moments("efgh"), moments("ijkl"), moments("mnop"), moments("uvw"))
def test_whatever_is_merged_and_undone(
    devices: Named, others: Named, tokens: Named, other_tokens: Named, later: Named
) -> None:
    """`later`: devices that the kept profile gets between the merge and its undo."""
    devices = dict(list(devices.items())[:MOST])
    tokens = dict(list(tokens.items())[:MOST])
    state = pair(section(devices, tokens), section(others, other_tokens))
    merge(state)
    kept = state.profiles[1]
    for kind, ours, theirs in (("devices", devices, others), ("tokens", tokens, other_tokens)):
        both = ours | theirs
        staying = sorted(both, key=lambda name, both=both: (both[name], name))[-MOST:] if theirs else list(ours)  # type: ignore[misc]
        assert names(kept, kind) == "".join(sorted(staying))
    check(state)
    for name, moment in later.items():
        entry = {"app": APP, "id": name, "last_seen": 10 + moment}
        held: dict[str, Any] = state.section(kept, DEVICES).setdefault("devices", {})
        held[f"{APP}/{name}"] = entry
        state.add_identifier(kept, device_key(APP, name))
        for gone in oldest_beyond(held, "last_seen", MOST):
            state.drop_identifier(kept, device_key(APP, held.pop(gone)["id"]))
    kept.size = sizes.of_profile(kept)
    assert undo(state, "m", LATER) == ""
    assert len(names(kept)) <= MOST
    assert set(names(kept)) <= set(devices) | set(later)
    assert set(later) <= set(names(kept))
    assert (names(state.profiles[2]), names(state.profiles[2], "tokens")) == (
        "".join(sorted(others)),
        "".join(sorted(other_tokens)),
    )
    check(state)
