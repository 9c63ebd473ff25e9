"""Undoing a merge: what was written since stays, what cannot be told apart is named, what is impossible is refused."""

from collections.abc import Callable
from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest

from app.domain import sizes
from app.domain.history import Happening, Origin
from app.domain.identifiers import identifiers_of
from app.domain.merging.merge import MERGE, get, perform, plan_merge
from app.domain.merging.standing import MAX_LATER
from app.domain.merging.undo import UndoPlan, plan_undo, undo
from app.domain.profile import ALIAS, CORE, EXTERNAL, Profile
from app.domain.settings import ApplySettings
from app.domain.state import State
from app.domain.times import DAY
from tests.domain.builders import profile, state_of

Write = Callable[[State, Profile], None]
EVENT = ("events", "e")
OLD = {"events": {"e": [5, 10, 20]}}
NEW = {"events": {"e": [3, 8, 30]}}
LATER = Origin(0, 12, 0, 12_000, "admin")


def merged(kept: Profile, other: Profile, us: int = 1_000) -> State:
    state = state_of(kept, other)
    perform(state, plan_merge(kept, other, MERGE, state.topics), Origin(0, us, 0, us), f"m{us}")
    return state


def custom(name: str, value: Any) -> Write:
    def write(_state: State, kept: Profile) -> None:
        assert kept.custom is not None
        kept.custom[name] = value

    return write


def event(count: int, first: int, last: int) -> Write:
    def write(_state: State, kept: Profile) -> None:
        assert kept.events is not None
        kept.events["e"] = [count, first, last]

    return write


def core(name: str, value: Any) -> Write:
    return lambda state, kept: state.set_core(kept, name, value)


def amount(cents: int) -> Write:
    def write(_state: State, kept: Profile) -> None:
        kept.revenue_cents += cents

    return write


@pytest.mark.parametrize(
    ("kept", "other", "write", "path", "value", "unseparated"),
    [
        ({}, {"custom": {"a": 1}}, custom("a", 2), ("custom", "a"), 2, []),
        ({}, {"custom": {"a": 1}}, custom("b", 2), ("custom", "a"), None, ["custom.a"]),
        ({"custom": {"a": 5}}, {"custom": {"a": 1}}, custom("a", 1), ("custom", "a"), 1, []),
        ({}, {"first_name": "Ana"}, core("first_name", "Bo"), ("first_name",), "Bo", []),
        ({}, {"first_name": "Ana"}, core("last_name", "Bo"), ("first_name",), None, ["first_name"]),
        ({}, {"email": "m@x"}, core("email", "n@x"), ("email",), "n@x", []),
        ({"revenue_cents": 5}, {"revenue_cents": 7}, amount(11), ("revenue_cents",), 16, []),
        # [5, 10..20] and [3, 8..30] make [8, 8..30]; then two more.
        (OLD, NEW, event(10, 5, 40), EVENT, [7, 5, 40], []),
        (OLD, NEW, event(10, 8, 40), EVENT, [7, 10, 40], ["events.e"]),
        (OLD, {"events": {"e": [3, 12, 15]}}, event(9, 10, 20), EVENT, [6, 10, 20], []),
        ({}, NEW, event(4, 7, 31), EVENT, [1, 7, 31], []),
        ({}, NEW, event(4, 8, 31), EVENT, [1, 8, 31], ["events.e"]),
        # Another name was written: this one was not.
        ({}, NEW, custom("n", 1), EVENT, None, []),
    ],
)
def test_what_was_written_since_stays(
    kept: dict[str, Any], other: dict[str, Any], write: Write, path: Any, value: Any, unseparated: list[str]
) -> None:
    one = profile(1, external_id="k", **deepcopy(kept))
    state = merged(one, profile(2, **deepcopy(other)))
    write(state, one)
    state.touch(one, 5_000, 0)
    assert undo(state, "m1000", LATER) == ""
    assert get(one, path) == value
    assert (one.updated_us, one.updated_index) == (5_000, 0)
    record = state.records["m1000"]
    assert record is not None
    assert record.unseparated == unseparated
    came_back = state.profiles[2]
    assert [get(came_back, (name,) if name != "events" else (name, "e")) for name in other] == [
        wanted["e"] if name == "events" else wanted for name, wanted in other.items()
    ]


def test_what_an_undo_leaves() -> None:
    state = merged(profile(1, external_id="k"), profile(2, external_id="m", aliases={"crm": "1"}))
    before = state.changes.history
    assert before == {
        1: [Happening("merged", Origin(0, 1_000, 0, 1_000), f"{2:024x}", "m1000")],
        2: [Happening("merged_into", Origin(0, 1_000, 0, 1_000), f"{1:024x}", "m1000")],
    }
    assert undo(state, "m1000", LATER) == ""
    assert state.changes.history[1][1:] == [Happening("unmerged", LATER, f"{2:024x}", "m1000")]
    assert state.changes.history[2][1:] == [Happening("restored", LATER, f"{1:024x}", "m1000")]
    record = state.records["m1000"]
    assert record is not None
    assert (record.undone, record.snapshot) == (LATER, None)
    assert state.changes.records == {"m1000"}
    assert state.lineage == {}
    assert state.profiles[2].external_id == "m"
    assert state.owner((ALIAS, "crm", "1")) is state.profiles[2]
    assert state.section(state.profiles[1], CORE) == {}


def four(*merges: tuple[int, int, int]) -> State:
    """Four people, and merges of them: (kept, merged, when)."""
    state = state_of(profile(1), *(profile(n, external_id=f"u{n}") for n in (2, 3, 4)))
    for kept, other, us in merges:
        plan = plan_merge(state.profiles[kept], state.profiles[other])
        perform(state, plan, Origin(0, us, 0, us), f"m{us}")
    return state


@pytest.mark.parametrize("order", list(permutations(("m1000", "m2000", "m3000"))), ids=str)
def test_merges_are_undone_in_any_order(order: tuple[str, ...]) -> None:
    """The second one is into the same profile, and the third one takes that profile away."""
    state = four((1, 2, 1_000), (1, 3, 2_000), (4, 1, 3_000))
    for n, merge_id in enumerate(order):
        assert undo(state, merge_id, LATER) == "", order[: n + 1]
        of_root = state.profiles[4].core or {}
        assert of_root.get("merges", 0) == (0 if "m3000" in order[: n + 1] else 2 - n)
        assert all(one.size == sizes.of_profile(one) for one in state.profiles.values())
    assert {pid: (found.external_id, found.core, found.updated_us) for pid, found in state.profiles.items()} == {
        1: (None, {}, 1),
        2: ("u2", {}, 2),
        3: ("u3", {}, 3),
        4: ("u4", {}, 4),
    }
    assert state.lineage == {}


def test_one_of_three_is_taken_out() -> None:
    """What a later merge lost to the one that goes is found again, and the later one can still be undone."""
    state = state_of(
        profile(1, external_id="a"),
        profile(2, external_id="b", first_name="Bee", aliases={"crm": "b"}, custom={"n": 1}, revenue_cents=5),
        profile(3, external_id="c", first_name="Cee", aliases={"crm": "c"}, custom={"n": 2, "m": 3}, revenue_cents=7),
    )
    kept = state.profiles[1]
    for other, us in ((2, 1_000), (3, 2_000)):
        perform(state, plan_merge(kept, state.profiles[other]), Origin(0, us, 0, us), f"m{us}")
    custom("m", 4)(state, kept)
    kept.revenue_cents += 11
    state.touch(kept, 5_000, 0)
    plan = plan_undo(state, "m1000", LATER.us)
    assert isinstance(plan, UndoPlan)
    assert [each.record.id for each in plan.later] == ["m2000"]
    # They may have been written since, with the value that they had.
    assert set(plan.unseparated) == {"aliases.crm", "first_name", "custom.n"}
    assert undo(state, "m1000", LATER) == ""
    assert kept.core == {"first_name": "Cee", "aliases": {"crm": "c"}, "merges": 1, "last_merge": "m2000"}
    assert (kept.custom, kept.revenue_cents) == ({"n": 2, "m": 4}, 18)
    assert state.holders((ALIAS, "crm", "c")) == {1}
    assert state.holders((ALIAS, "crm", "b")) == {2}
    assert state.changes.records == {"m1000", "m2000"}
    assert undo(state, "m2000", LATER) == ""
    assert (kept.core, kept.custom, kept.revenue_cents) == ({}, {"m": 4}, 11)
    assert state.profiles[3].revenue_cents == 7


def test_histories_of_an_undo_below_another_merge() -> None:
    state = four((1, 2, 1_000), (4, 1, 3_000))
    assert undo(state, "m1000", LATER) == ""
    assert [line.what for line in state.changes.history[1]] == ["merged", "merged_into", "unmerged"]
    assert state.changes.history[4][1:] == [Happening("unmerged", LATER)]
    assert state.changes.history[2][1:] == [Happening("restored", LATER, f"{1:024x}", "m1000")]


def expired(state: State) -> None:
    found = state.records["m2000"]
    assert found is not None
    found.expires_us = LATER.us


def forgotten(state: State) -> None:
    """As ageing out does with a record that nobody needs any more."""
    del state.records["m2000"]


@pytest.mark.parametrize("kept", [1, 4])
@pytest.mark.parametrize("since", [expired, forgotten])
def test_a_later_merge_that_is_too_old(kept: int, since: Callable[[State], None]) -> None:
    state = four((1, 2, 1_000), (kept, 3 if kept == 1 else 1, 2_000))
    since(state)
    before = deepcopy(state.profiles)
    assert undo(state, "m1000", LATER) == "later_merge_too_old"
    assert state.profiles == before


def test_how_many_merges_may_stand_on_one() -> None:
    people = [profile(n) for n in range(1, MAX_LATER + 4)]
    state = state_of(*people)
    for other in people[1:]:
        perform(state, plan_merge(people[0], other), Origin(0, other.pid, 0, other.pid), f"m{other.pid}")
    assert undo(state, "m2", LATER) == "too_many_later_merges"
    assert undo(state, "m3", LATER) == ""
    assert undo(state, "m2", LATER) == ""


def test_how_large_later_merges_may_be() -> None:
    state = four((1, 2, 1_000), (1, 3, 2_000), (1, 4, 3_000))
    size = sum(record.snapshot.size for record in list(state.records.values())[1:] if record and record.snapshot)
    for most, reason in (((size - 1) // 2, "too_many_later_merges"), ((size + 1) // 2, "")):
        state.settings = ApplySettings(max_profile_bytes=most)
        assert undo(state, "m1000", LATER) == reason


def test_what_a_later_merge_lost_may_be_somebody_elses_by_now() -> None:
    state = state_of(
        profile(1),
        profile(2, external_id="b", aliases={"crm": "b"}),
        profile(3, external_id="c", aliases={"crm": "c"}, deprecated=["d"]),
    )
    for other, us in ((2, 1_000), (3, 2_000)):
        plan = plan_merge(state.profiles[1], state.profiles[other])
        perform(state, plan, Origin(0, us, 0, us), f"m{us}")
    give(9, external_id="c", aliases={"crm": "c"})(state)
    assert undo(state, "m1000", LATER) == ""
    assert state.profiles[1].external_id is None
    assert state.section(state.profiles[1], CORE).get("aliases") is None
    record = state.records["m1000"]
    assert record is not None
    assert record.unseparated == ["external_id", "aliases.crm"]
    assert undo(state, "m2000", LATER) == "identifier_reused"


def give(pid: int, **values: Any) -> Callable[[State], None]:
    """Somebody new has what the merged profile had."""

    def do(state: State) -> None:
        found = profile(pid, **values)
        state.create(found)
        for key in sorted(identifiers_of(found)):
            state.add_identifier(found, key)

    return do


def renamed(state: State) -> None:
    """The id that came with the merge is a former one of the kept profile now."""
    kept = state.profiles[1]
    kept.external_id = "n"
    state.drop_identifier(kept, (EXTERNAL, "", "m"))
    state.add_identifier(kept, (EXTERNAL, "", "n"))
    core("deprecated", ["m"])(state, kept)
    state.add_identifier(kept, (2, "", "m"))


def alias_of_the_loser(state: State) -> None:
    state.add_alias(state.profiles[1], "crm", "2")


@pytest.mark.parametrize(
    ("kept", "other", "since", "reason"),
    [
        ({"external_id": "k"}, {"external_id": "m"}, give(9, external_id="m"), "identifier_reused"),
        ({"external_id": "k"}, {"external_id": "m"}, give(9, deprecated=["m"]), "identifier_reused"),
        ({"external_id": "k"}, {"deprecated": ["m"]}, give(9, external_id="m"), "identifier_reused"),
        ({"aliases": {"crm": "1"}}, {"aliases": {"crm": "2"}}, give(9, aliases={"crm": "2"}), "identifier_reused"),
        ({"aliases": {"crm": "1"}}, {"aliases": {"crm": "2"}}, alias_of_the_loser, "identifier_reused"),
        ({}, {"external_id": "m"}, renamed, "identifier_reused"),
        # An address may have several holders.
        ({}, {"email": "m@x"}, give(9, email="m@x"), ""),
    ],
)
def test_an_identifier_that_was_reused(
    kept: dict[str, Any], other: dict[str, Any], since: Callable[[State], None], reason: str
) -> None:
    state = merged(profile(1, **kept), profile(2, **other))
    since(state)
    assert undo(state, "m1000", LATER) == reason
    assert (2 in state.profiles) is (reason == "")


def test_what_cannot_be_undone() -> None:
    state = merged(profile(1), profile(2))
    assert undo(state, "unknown", LATER) == "merge_not_found"
    month = 30 * DAY
    assert undo(state, "m1000", Origin(0, 9, 0, 1_000 + month)) == "merge_too_old"
    assert undo(state, "m1000", Origin(0, 9, 0, 999 + month)) == ""
    assert undo(state, "m1000", LATER) == "already_undone"
    state = merged(profile(1), profile(2))
    state.remove(state.profiles[1], "hash", LATER)
    assert undo(state, "m1000", LATER) == "merge_not_found"


def test_a_deletion_leaves_nothing_but_a_hash() -> None:
    state = merged(profile(1), profile(2))
    assert undo(state, "m1000", LATER) == ""
    state.remove(state.profiles[1], "hash", LATER)
    assert (state.changes.history, state.changes.records) == ({}, set())
    assert state.changes.deleted == [("hash", LATER)]
