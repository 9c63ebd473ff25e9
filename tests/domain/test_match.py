"""Merge rules: who is kept, who is left alone, and what happens where things changed since the rule was asked."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import guard
from app.domain.apply import reduce
from app.domain.commands import Command, Merge, MergeDuplicate, Request, Selector
from app.domain.history import Origin
from app.domain.merging.match import PRIORITIZATIONS, TIES, Group, MergeRule, commands, match
from app.domain.profile import (
    BRAZE,
    EMAIL,
    EXTERNAL,
    GLOBAL_CONTROL_GROUP,
    MARKED_FOR_DELETION,
    PHONE,
    SPAM_BLOCKED,
    Identifier,
    Profile,
)
from app.domain.settings import ApplySettings
from app.domain.state import State
from tests.domain.builders import profile, state_of

DUP = "dup@example.org"
SHARED: Identifier = (EMAIL, "", DUP)
US = 1_000


def people(rows: list[dict[str, Any]]) -> list[Profile]:
    return [profile(n, email=DUP, **values) for n, values in enumerate(rows, 1)]


def outcome(group: Group) -> tuple[int | None, list[int], list[tuple[int, str]], str]:
    keep = None if group.keep is None else group.keep.pid
    return keep, [one.pid for one in group.merge], [(one.pid, reason) for one, reason in group.alone], group.reason


NAMED = {"external_id": "a"}
CONTROL = {"flags": GLOBAL_CONTROL_GROUP}
LEAVING = {"flags": MARKED_FOR_DELETION}


@pytest.mark.parametrize(
    ("ties", "prioritization", "rows", "kept", "merged", "alone", "reason"),
    [
        # One with an external id is kept, however old it is.
        ("updated_at", "newest", [NAMED, {}, {}], 1, [2, 3], [], ""),
        ("updated_at", "oldest", [{}, {}, NAMED], 3, [1, 2], [], ""),
        # Several have one: they are put in order, and the losers are merged as well.
        ("updated_at", "newest", [NAMED, {"external_id": "b"}, {}], 2, [1, 3], [], ""),
        ("updated_at", "oldest", [NAMED, {"external_id": "b"}, {}], 1, [2, 3], [], ""),
        ("created_at", "newest", [{"created_us": 9}, {"created_us": 3}], 1, [2], [], ""),
        ("created_at", "oldest", [{"created_us": 9}, {"created_us": 3}], 2, [1], [], ""),
        # Two writes of one request are in an order.
        ("updated_at", "newest", [{"updated_us": 5, "updated_index": 1}, {"updated_us": 5}], 1, [2], [], ""),
        # Who comes first is equal to the next one: nobody is merged. Further back it does not matter.
        ("created_at", "newest", [{"created_us": 5}, {"created_us": 5}], None, [], [], "tied"),
        ("created_at", "newest", [{"created_us": 7}, {"created_us": 5}, {"created_us": 5}], 1, [2, 3], [], ""),
        ("created_at", "oldest", [{"created_us": 7}, {"created_us": 5}, {"created_us": 5}], None, [], [], "tied"),
        ("created_at", "oldest", [{**NAMED, "created_us": 7}, {"created_us": 5}, {"created_us": 5}], 1, [2, 3], [], ""),
        # Nobody has the time: a tie. Who has none comes last in both directions.
        ("last_session", "newest", [{}, {}], None, [], [], "tied"),
        ("last_session", "newest", [{}, {"last_session_us": 4}], 2, [1], [], ""),
        ("last_session", "oldest", [{}, {"last_session_us": 4}], 2, [1], [], ""),
        ("last_session", "oldest", [{}, {"last_session_us": 4}, {"last_session_us": 3}], 3, [1, 2], [], ""),
        ("last_session", "newest", [{}, {"last_session_us": 0}], 2, [1], [], ""),
        # The longest ago updated one is merged first.
        ("created_at", "oldest", [{}, {"updated_us": 40}, {"updated_us": 30}], 1, [3, 2], [], ""),
        # Who is excluded is left alone, and the others go on.
        ("updated_at", "newest", [{}, {}, CONTROL], 2, [1], [(3, "control_group")], ""),
        ("updated_at", "newest", [{**NAMED, **LEAVING}, {}, {}], 3, [2], [(1, "marked_for_deletion")], ""),
        ("updated_at", "newest", [{**NAMED, "flags": SPAM_BLOCKED}, {}, {}], 3, [2], [(1, "profile_blocked")], ""),
        ("updated_at", "newest", [{}, CONTROL], None, [], [(2, "control_group")], "control_group"),
        ("updated_at", "newest", [{}], None, [], [], ""),
        ("updated_at", "newest", [], None, [], [], ""),
        ("updated_at", "newest", [{}] * 26, None, [], [], "too_many_holders"),
    ],
)
def test_who_is_kept(
    ties: str,
    prioritization: str,
    rows: list[dict[str, Any]],
    kept: int | None,
    merged: list[int],
    alone: list[tuple[int, str]],
    reason: str,
) -> None:
    group = match(ties, prioritization, SHARED, people(rows), ApplySettings())
    assert outcome(group) == (kept, merged, alone, reason)
    assert group.size == len(rows)
    # The order in which they are found is nothing.
    backwards = match(ties, prioritization, SHARED, people(rows)[::-1], ApplySettings())
    assert outcome(backwards) == outcome(group)


@pytest.mark.parametrize(
    ("value", "placeholder"),
    [
        ("ada@example.org", False),
        ("x@example.org", False),
        ("info@shop.example.org", False),
        ("test@shop.example.org", True),
        ("no-reply+1@shop.org", True),
        ("ada@nowhere.invalid", True),
        ("ada@printer.local", True),
        ("tester@shop.org", False),
        ("+34600123450", False),
        ("+34600000000", True),
        ("+4912345678", True),
        ("+34612345670", False),
    ],
)
def test_addresses_of_nobody(value: str, placeholder: bool) -> None:
    shared = (PHONE if value.startswith("+") else EMAIL, "", value)
    assert guard.is_placeholder(shared, ApplySettings()) is placeholder
    reason = match("updated_at", "newest", shared, people([{}, {}]), ApplySettings()).reason
    assert reason == ("junk_identifier" if placeholder else "")


@pytest.mark.parametrize(
    ("value", "entry", "placeholder"),
    [
        ("desk@shop.org", "Desk@shop.org", True),
        ("desk@shop.org", "desk@", True),
        ("desk@shop.org", "@shop.org", True),
        ("desk@shop.org", "shop.org", False),
        ("desk@shop.org", "esk@shop.org", False),
        ("test@shop.org", "desk@shop.org", False),
        ("+34600123450", "+34600123450", True),
        ("+34600123450", "@", False),
        ("+34600000000", "+34600123450", False),
    ],
)
def test_a_list_of_ones_own(value: str, entry: str, placeholder: bool) -> None:
    shared = (PHONE if value.startswith("+") else EMAIL, "", value)
    assert guard.is_placeholder(shared, ApplySettings(placeholder_addresses=[entry])) is placeholder


def applied(state: State, *asked: Command, settings: ApplySettings | None = None) -> list[tuple[int, str, str]]:
    """Apply commands as one request; (index, field, reason) of what had no effect."""
    state.settings = settings or ApplySettings()
    reduce([Request(1, 1, US, list(asked))], state, 1, b"k")
    return [(problem.index, problem.field, problem.reason) for problem in state.changes.problems]


def found(state: State, rule: MergeRule, shared: Identifier = SHARED) -> list[MergeDuplicate]:
    holders = [state.profiles[pid] for pid in state.holders(shared)]
    return commands(rule, match(rule.ties, rule.prioritization, shared, holders, state.settings))


def renamed(state: State) -> None:
    state.set_core(state.profiles[1], "email", "other@example.org")


def touched(pid: int) -> Callable[[State], None]:
    return lambda state: state.touch(state.profiles[pid], US - 1, 0)


def flagged(state: State) -> None:
    state.profiles[3].flags = GLOBAL_CONTROL_GROUP


def removed(pid: int) -> Callable[[State], None]:
    def change(state: State) -> None:
        state.remove(state.profiles[pid], "e", Origin(0, 1, 0, 1))

    return change


def joined(many: int) -> Callable[[State], None]:
    def change(state: State) -> None:
        for pid in range(10, 10 + many):
            one = profile(pid, email=DUP)
            state.create(one)
            state.add_identifier(one, SHARED)

    return change


@pytest.mark.parametrize(
    ("change", "problems", "left"),
    [
        (lambda _state: None, [], [3]),
        (touched(3), [], [3]),
        # The rule would keep another one by now.
        (touched(1), [(0, "", "other_choice"), (1, "", "other_choice")], [1, 2, 3]),
        (flagged, [(0, "", "other_choice"), (1, "", "other_choice")], [1, 2, 3]),
        (joined(1), [(0, "", "other_choice"), (1, "", "other_choice")], [1, 2, 3, 10]),
        # One of them is somebody else by now, or gone.
        (renamed, [(0, "", "identifier_changed")], [1, 3]),
        (removed(1), [(0, "merged", "profile_not_found")], [3]),
        (removed(3), [(0, "kept", "profile_not_found"), (1, "kept", "profile_not_found")], [1, 2]),
        (joined(30), [(0, "", "too_many_holders"), (1, "", "too_many_holders")], [1, 2, 3, *range(10, 40)]),
    ],
)
def test_what_changed_since(
    change: Callable[[State], None], problems: list[tuple[int, str, str]], left: list[int]
) -> None:
    state = state_of(*people([{}, {}, {}]))
    asked = found(state, MergeRule(EMAIL))
    change(state)
    assert applied(state, *asked) == problems
    assert sorted(state.profiles) == left


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (ApplySettings(max_duplicates=2), "too_many_holders"),
        (ApplySettings(placeholder_addresses=["dup@"]), "junk_identifier"),
    ],
)
def test_settings_that_changed_since(settings: ApplySettings, reason: str) -> None:
    state = state_of(*people([{}, {}, {}]))
    asked = found(state, MergeRule(EMAIL))
    assert applied(state, *asked, settings=settings) == [(0, "", reason), (1, "", reason)]
    assert len(state.profiles) == 3


def test_a_tie_that_came_since() -> None:
    rows = [{"created_us": 1}, {"created_us": 2}]
    state = state_of(*people(rows))
    asked = found(state, MergeRule(EMAIL, "created_at"))
    state.profiles[1].created_us = 2
    assert applied(state, *asked) == [(0, "", "tied")]


def test_what_the_first_merges_do_to_the_kept_profile_changes_no_choice() -> None:
    """By the oldest update: the first merge makes the kept profile the newest one."""
    state = state_of(*people([{}, {}, {}, {}]))
    assert applied(state, *found(state, MergeRule(EMAIL, "updated_at", "oldest"))) == []
    assert [(pid, one.updated_us) for pid, one in state.profiles.items()] == [(1, US)]


_moments = st.integers(1, 3)
_rows = st.fixed_dictionaries(
    {"created_us": _moments, "updated_us": _moments, "flags": st.sampled_from([0, 0, 0, 1, 2, 4, 8])},
    optional={
        "last_session_us": _moments,
        "phone": st.sampled_from(["+34600123450", "+34600123451"]),
        "first_name": st.sampled_from(["Ada", "Bo"]),
    },
)


@st.composite
def workspaces(draw: st.DrawFn) -> State:
    made = []
    for pid in range(1, draw(st.integers(1, 7)) + 1):
        values = draw(_rows)
        if draw(st.booleans()):
            values["external_id"] = f"p{pid}"
        if draw(st.booleans()):
            values["aliases"] = {draw(st.sampled_from(["web", "crm"])): f"a{pid}"}
        address = draw(st.sampled_from([DUP, "two@example.org", None]))
        made.append(profile(pid, **values | ({} if address is None else {"email": address})))
    return state_of(*made)


rules = st.builds(MergeRule, st.sampled_from([EMAIL, PHONE]), st.sampled_from(TIES), st.sampled_from(PRIORITIZATIONS))


def everything(state: State) -> dict[str, object]:
    """The whole workspace, and all that has to be written."""
    return {
        "profiles": {pid: repr(one) for pid, one in state.profiles.items()},
        "index": {key: set(pids) for key, pids in state.index.items() if pids},
        "records": {id_: repr(record) for id_, record in state.records.items()},
        "changes": repr(replace(state.changes, problems=[])),
    }


@given(workspaces(), rules)
def test_a_run_is_the_merges_that_a_person_would_have_made(state: State, rule: MergeRule) -> None:
    """Group by group, each pair of the preview in its order, with /users/merge: the whole workspace is the same."""
    by_hand = deepcopy(state)
    shared = sorted(key for key, pids in state.index.items() if key[0] == rule.kind and pids)
    asked = [command for key in shared for command in found(state, rule, key)]
    asked = [replace(one, index=n) for n, one in enumerate(asked)]
    pairs: list[Command] = [
        Merge(n, Selector((BRAZE, "", one.merged_braze_id)), Selector((BRAZE, "", one.kept_braze_id)))
        for n, one in enumerate(asked)
    ]
    assert applied(state, *asked) == applied(by_hand, *pairs)
    assert everything(state) == everything(by_hand)


@given(workspaces(), rules)
def test_a_second_run_finds_nothing(state: State, rule: MergeRule) -> None:
    shared = sorted(key for key, pids in state.index.items() if key[0] == rule.kind and pids)
    applied(state, *[command for key in shared for command in found(state, rule, key)])
    assert [command for key in shared for command in found(state, rule, key)] == []


@given(workspaces(), rules)
def test_exactly_one_is_kept_and_nobody_is_merged_twice(state: State, rule: MergeRule) -> None:
    for key in sorted(key for key, pids in state.index.items() if key[0] == rule.kind and pids):
        holders = [state.profiles[pid] for pid in state.holders(key)]
        group = match(rule.ties, rule.prioritization, key, holders, state.settings)
        told = [*group.merge, *(one for one, _ in group.alone), *([] if group.keep is None else [group.keep])]
        assert len({one.pid for one in told}) == len(told)
        assert (group.keep is not None) == bool(group.merge)
        if group.keep is not None:
            assert {one.pid for one in told} == {one.pid for one in holders}
            eligible = [one for one in holders if one.flags < GLOBAL_CONTROL_GROUP]
            assert group.keep.external_id is not None or all(one.external_id is None for one in eligible)


def test_the_kept_profile_has_what_both_had() -> None:
    state = state_of(profile(1, email=DUP, external_id="a"), profile(2, email=DUP, custom={"tier": "gold"}))
    assert applied(state, *found(state, MergeRule(EMAIL))) == []
    kept = state.owner((EXTERNAL, "", "a"))
    assert kept is not None
    assert kept.custom == {"tier": "gold"}
