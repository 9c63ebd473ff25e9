"""What a request costs: counted, bounded, and the same however often it is applied."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.apply import reduce
from app.domain.commands import Command, Request, TrackAttributes
from app.domain.custom_attributes import MISSING, Options, Skip, updated
from app.domain.profile import EXTERNAL
from app.domain.reasons import TOO_MUCH_WORK
from app.domain.state import State
from app.domain.values import size
from app.domain.work import MAX_WORK, Work
from tests.domain.builders import profile
from tests.fuzz.size import cases

MERGE, PLAIN = Options(merge_objects=True), Options()


def target(value: object, **new: object) -> dict[str, object]:
    return {"$identifier_key": "a", "$identifier_value": value, **({"$new_object": new} if new else {})}


OBJECT = {f"k{n}": n for n in range(7_000)}
NESTED = {f"k{n}": {"a": n, "b": {"c": [n]}} for n in range(2_500)}
OBJECTS = [{"a": n % 7} for n in range(11_000)]
WIDE = [{f"k{n}": n for n in range(1_000)} | {"a": 1} for _ in range(9)]

#: (what is stored, 100 KB of it; what is sent again and again; options)
EXPENSIVE: dict[str, tuple[Any, Any, Options]] = {
    "merge": (OBJECT, {"z": 1}, MERGE),
    "merge inside": (NESTED, {"k1": {"b": {"c": 5}}}, MERGE),
    "merge and replace": (NESTED, {"k1": 1, "k2": {"x": [1, {"y": 2}]}, "k3": None}, MERGE),
    "update all": (OBJECTS, {"$update": [target(1, a=1)]}, PLAIN),
    "update nobody": (OBJECTS, {"$update": [target("x", a=1)] * 40}, PLAIN),
    "merge into all": (OBJECTS, {"$update": [target(1, z=1)]}, MERGE),
    "merge into wide": (WIDE, {"$update": [target(1, z=1)]}, MERGE),
    "remove nobody": (OBJECTS, {"$remove": [target("x")]}, PLAIN),
    "remove nobody, wide": (WIDE, {"$remove": [target("x")]}, PLAIN),
    "append": (OBJECTS[:2_000], {"$add": [{"a": 1}]}, PLAIN),
    "add": ([f"{n}{'x' * 180}" for n in range(490)], {"add": ["y"]}, PLAIN),
    "remove": ([f"{n}{'x' * 180}" for n in range(490)], {"remove": ["y"]}, PLAIN),
}


def attributes(custom: dict[str, Any], options: Options) -> TrackAttributes:
    return TrackAttributes(0, (EXTERNAL, "", "u"), None, options.merge_objects, {}, custom, [])


@pytest.mark.parametrize("what", EXPENSIVE)
def test_no_request_takes_more_than_its_steps(what: str) -> None:
    stored, sent, options = EXPENSIVE[what]
    steps = MAX_WORK // 20
    work, value, skipped = Work(steps), stored, 0
    before = copy.deepcopy(stored)
    for _ in range(6_000):
        result = updated(value, sent, options, work)
        if isinstance(result, Skip):
            assert result == Skip(TOO_MUCH_WORK)
            skipped += 1
            if skipped > 20:
                break
        else:
            assert not skipped, "what follows the end of the steps is skipped as well"
            value = result
    assert stored == before
    assert 0 <= work.left < steps
    assert skipped or what.startswith("merge")


@pytest.mark.parametrize("what", ["merge", "merge inside", "merge and replace"])
def test_merges_cost_what_is_sent_and_not_what_is_stored(what: str) -> None:
    stored, sent, options = EXPENSIVE[what]
    work = Work()
    value = updated(stored, sent, options, work)
    first = MAX_WORK - work.left
    for _ in range(1_000):
        value = updated(value, sent, options, work)
        assert not isinstance(value, Skip)
    assert MAX_WORK - work.left - first < 100_000


def test_a_bulk_request_merges_into_each_of_four_hundred_large_objects_without_a_skip() -> None:
    """900 updates of 38 objects each, spread over ten profiles: what such a request takes is added up."""
    work = Work()
    value = updated(OBJECT, {"z": 0}, MERGE, work)
    first = MAX_WORK - work.left
    for n in range(100):
        value = updated(value, {"z": n}, MERGE, work)
    following = (MAX_WORK - work.left - first) / 100
    assert size(value) > 75_000
    per_byte = 102_400 / size(value)
    assert 400 * first * per_byte + 900 * 38 * following < MAX_WORK


keys = st.sampled_from("abc")
scalars = st.sampled_from([1, 2.5, True, "", '\u00e9"\n', "2026-01-05", None])
patches = st.recursive(
    st.dictionaries(keys, scalars, max_size=3),
    lambda inner: st.dictionaries(
        keys, st.one_of(scalars, inner, st.lists(st.one_of(st.just(1), inner), max_size=3)), max_size=3
    ),
    max_leaves=8,
)
targets = st.builds(lambda v: {"$identifier_key": "a", "$identifier_value": v}, st.sampled_from([1, True, "", 2.5]))
operations = st.one_of(
    patches,
    st.lists(patches, max_size=4),
    st.fixed_dictionaries({}, optional={
        "$add": st.lists(patches, max_size=2),
        "$remove": st.lists(targets, max_size=2),
        "$update": st.lists(st.builds(lambda t, n: {**t, "$new_object": n}, targets, patches), max_size=2),
    }),
    st.fixed_dictionaries({}, optional={"add": st.lists(scalars, max_size=3), "remove": st.lists(scalars, max_size=3)}),
)  # fmt: skip


@settings(deadline=None, max_examples=cases(120))
@given(st.lists(st.tuples(operations, st.sampled_from([MERGE, PLAIN])), max_size=8))
def test_drafts_change_no_result_and_know_their_sizes(sent: list[tuple[Any, Options]]) -> None:
    work = Work()
    alone: object = MISSING
    drafted: object = MISSING
    for raw, options in sent:
        expected, result = updated(alone, raw, options), updated(drafted, raw, options, work)
        if isinstance(expected, Skip):
            assert result == expected
            continue
        alone, drafted = copy.deepcopy(expected), result
        assert drafted == alone
        if isinstance(drafted, (dict, list)):
            assert work.measured(drafted) == size(alone)


def test_a_request_does_not_change_what_an_earlier_one_left() -> None:
    """Records of merges hold values of profiles as they were; so only what a request made itself changes in place."""
    state = State(complete=True)
    reduce([Request(0, 1, 1, [attributes({"o": {"a": {"b": 1}}}, PLAIN)])], state, 1, b"k")
    (profile,) = state.profiles.values()
    assert profile.custom is not None
    before = profile.custom["o"]
    sent: list[Command] = [attributes({"o": {"a": {"b": n}}}, MERGE) for n in range(2, 5)]
    reduce([Request(0, 2, 2, sent)], state, 1, b"k")
    assert before == {"a": {"b": 1}}
    assert profile.custom["o"] == {"a": {"b": 4}}


def test_what_exceeds_the_steps_of_a_request_is_skipped_and_the_next_request_has_its_own() -> None:
    state = State(complete=True)
    reduce([Request(0, 1, 1, [attributes({"o": OBJECTS, "n": 0}, PLAIN)])], state, 1, b"k")
    sent: list[Command] = [attributes({"o": {"$update": [target("x", a=1)] * 40}, "n": n}, PLAIN) for n in range(120)]
    reduce([Request(0, 2, 2, sent), Request(0, 3, 3, sent[:1])], state, 1, b"k")
    reasons = [(problem.seq, problem.field, problem.reason) for problem in state.changes.problems]
    assert reasons
    assert set(reasons) == {(2, "o", TOO_MUCH_WORK)}
    (profile,) = state.profiles.values()
    assert profile.custom is not None
    assert profile.custom["n"] == 0


class Unread(dict[str, object]):
    """Attributes that nobody may go through."""

    def items(self) -> Any:
        raise AssertionError


def test_what_a_request_has_nothing_to_do_with_is_not_looked_at_when_it_is_cut() -> None:
    """A worker may have tens of thousands of profiles in memory."""
    mine, other, work = profile(1), profile(2), Work()
    mine.custom, other.custom = {"o": {"a": 1}, "n": 7}, Unread(o={"a": 1})
    found = updated(mine.custom["o"], {"b": 2}, MERGE, work)
    assert found == {"a": 1, "b": 2}
    mine.custom["o"] = found
    work.put_away({1: mine, 2: other}, changed=[1, 3])
    assert work.away() == {1: {"o": size(found)}}
    work.take_up([mine])
    work.put_away({1: mine, 2: other}, changed=[])  # it is not changed again, and still a draft
    assert work.away() == {1: {"o": size(found)}}
