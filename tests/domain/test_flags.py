"""What commands do to the flags of a profile, and what flags do to merges."""

from typing import Any

import pytest

from app.domain.apply import reduce
from app.domain.commands import ChangeFlags, Command, Identify, Merge, Request, Selector
from app.domain.profile import ALIAS, BRAZE, EMAIL, EXTERNAL, GLOBAL_CONTROL_GROUP, MARKED_FOR_DELETION, TEST_USER
from app.domain.state import State
from tests.domain.builders import profile, state_of

ADA = (EXTERNAL, "", "ada")
GUEST = (ALIAS, "crm", "7")
BOTH = TEST_USER | GLOBAL_CONTROL_GROUP


def people(**ada: Any) -> State:
    one = profile(1, external_id="ada", email="a@example.org", **ada)
    return state_of(one, profile(2, aliases={"crm": "7"}, email="a@example.org"), profile(3, email="b@example.org"))


def apply(state: State, *commands: Command) -> list[str]:
    """The reasons why something had no effect."""
    reduce([Request(0, 7, 1_000, list(commands), "console")], state, 1, b"s")
    return [problem.reason for problem in state.changes.problems]


@pytest.mark.parametrize(
    ("before", "on", "off", "after"),
    [
        (0, TEST_USER, 0, TEST_USER),
        (0, GLOBAL_CONTROL_GROUP, 0, GLOBAL_CONTROL_GROUP),
        (0, BOTH, 0, BOTH),
        (0, 0, BOTH, 0),
        (BOTH, TEST_USER, 0, BOTH),
        (BOTH, 0, TEST_USER, GLOBAL_CONTROL_GROUP),
        (TEST_USER, GLOBAL_CONTROL_GROUP, TEST_USER, GLOBAL_CONTROL_GROUP),
        (MARKED_FOR_DELETION, BOTH, 0, BOTH | MARKED_FOR_DELETION),
        (MARKED_FOR_DELETION | BOTH, 0, BOTH, MARKED_FOR_DELETION),
    ],
)
def test_the_flags(before: int, on: int, off: int, after: int) -> None:
    state = people(flags=before)
    recency = state.profiles[1].recency
    assert apply(state, ChangeFlags(0, ADA, on, off)) == []
    assert state.profiles[1].flags == after
    assert state.profiles[1].recency == recency
    changed = {1: 0} if after != before else {}
    assert state.changes.sections == changed
    lines = [(pid, line.what, line.origin.key_name) for pid, lines in state.changes.history.items() for line in lines]
    assert lines == [(1, "flagged", "console")] * len(changed)
    assert state.changes.counts.flagged == len(changed)


@pytest.mark.parametrize(
    ("key", "pid", "reasons"),
    [
        ((EXTERNAL, "", "ada"), 1, []),
        ((ALIAS, "crm", "7"), 2, []),
        ((BRAZE, "", f"{3:024x}"), 3, []),
        ((EMAIL, "", "b@example.org"), 3, []),
        ((EMAIL, "", "a@example.org"), None, ["ambiguous"]),
        ((EXTERNAL, "", "bob"), None, ["profile_not_found"]),
    ],
)
def test_who_is_meant(key: Any, pid: int | None, reasons: list[str]) -> None:
    state = people()
    assert apply(state, ChangeFlags(0, key, TEST_USER, 0)) == reasons
    assert [one for one, found in state.profiles.items() if found.flags] == ([] if pid is None else [pid])


@pytest.mark.parametrize(
    ("flags", "merged", "reasons"),
    [
        ((0, 0), True, []),
        ((TEST_USER, 0), True, []),
        ((0, TEST_USER), True, []),
        ((GLOBAL_CONTROL_GROUP, 0), False, ["control_group"]),
        ((0, GLOBAL_CONTROL_GROUP), False, ["control_group"]),
        ((BOTH, BOTH), False, ["control_group"]),
    ],
)
def test_merges_of_one_request_see_what_came_before(flags: tuple[int, int], merged: bool, reasons: list[str]) -> None:
    state = people()
    setting = [ChangeFlags(n, who, on, 0) for n, (who, on) in enumerate(zip((ADA, GUEST), flags, strict=True))]
    assert apply(state, *setting, Merge(2, Selector(GUEST), Selector(ADA))) == reasons
    assert (2 not in state.profiles) is merged
    assert state.profiles[1].flags == (flags[0] | (flags[1] & TEST_USER) if merged else flags[0])


def test_whoever_is_in_the_control_group_can_get_an_external_id() -> None:
    """Identify.md 5, row 2: nothing has to be combined."""
    state = people()
    identify = Identify("aliases_to_identify", 1, "new", Selector(GUEST), merge=True)
    assert apply(state, ChangeFlags(0, GUEST, GLOBAL_CONTROL_GROUP, 0), identify) == []
    assert state.profiles[2].external_id == "new"
