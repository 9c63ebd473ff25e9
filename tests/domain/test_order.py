"""The order in which the objects of a request take effect, and that it may be applied in parts."""

from copy import deepcopy
from random import Random
from typing import Any

import pytest

from app.domain.apply import apply_commands
from app.domain.commands import Command, Request, TrackAttributes, TrackEvent
from app.domain.order import in_order
from app.domain.profile import ALIAS, BRAZE, DEPRECATED, EMAIL, EXTERNAL, Identifier
from app.domain.state import State
from app.domain.step import Step
from app.domain.work import Work
from tests.domain.builders import profile, state_of

A, B, C = ((EXTERNAL, "", name) for name in "abc")
NEW = (EXTERNAL, "", "new")


def attributes(identifier: Identifier, fields: dict[str, object] | None = None, **custom: Any) -> TrackAttributes:
    return TrackAttributes(0, identifier, None, merge_objects=True, fields=fields or {}, custom=custom)


def event(identifier: Identifier) -> TrackEvent:
    return TrackEvent(0, identifier, None, "e", 1, None, None)


#: (commands, the order of their effect)
ORDERS: list[tuple[list[Command], list[int]]] = [
    ([attributes(A), attributes(B), attributes(A), event(B), event(A)], [0, 2, 4, 1, 3]),
    ([attributes(A), attributes(B), attributes(C)], [0, 1, 2]),
    ([attributes(A), attributes(A)], [0, 1]),
    ([], []),
    # Several names of one profile.
    ([attributes(A), attributes(B), attributes((ALIAS, "l", "a")), attributes(A)], [0, 2, 3, 1]),
    ([attributes(A), attributes(B), attributes((BRAZE, "", f"{1:024x}")), attributes(A)], [0, 2, 3, 1]),
    ([attributes(A), attributes(B), attributes((EXTERNAL, "", "former")), attributes(A)], [0, 2, 3, 1]),
    ([attributes(NEW), attributes(B), attributes(NEW)], [0, 2, 1]),
    ([attributes(A, {"first_name": "Ana"}), attributes(B), attributes(A)], [0, 2, 1]),
    # What others may have as well keeps its order.
    ([attributes(A, {"email": "x@example.org"}), attributes(B), attributes(A)], [0, 1, 2]),
    ([attributes(A, {"email_subscribe": "opted_in"}), attributes(B), attributes(A)], [0, 1, 2]),
    ([attributes(A), attributes((EMAIL, "", "x@example.org")), attributes(A)], [0, 1, 2]),
]


@pytest.mark.parametrize(("commands", "expected"), ORDERS)
def test_order(commands: list[Command], expected: list[int]) -> None:
    state = state_of(
        profile(1, external_id="a", aliases={"l": "a"}, deprecated=["former"]), profile(2, external_id="b")
    )
    assert state.holders((DEPRECATED, "", "former")) == {1}
    assert list(in_order(commands, state.holders)) == expected


def some(random: Random) -> dict[str, Any]:
    """What changes a large value of a profile, at the cost of its size."""
    n = random.randrange(100)
    return random.choice(
        [
            {"o": {f"z{n % 3}": n}},
            {"l": {"add": [f"v{n}"]}},
            {"l": {"remove": [f"v{n % 9}"]}},
            {"p": {"$add": [{"a": n}]}},
            {"p": {"$update": [{"$identifier_key": "a", "$identifier_value": n, "$new_object": {"b": n}}]}},
            {"o": {"z0": None}, "n": n},
            {"o": None},
            {"o": {f"k{i}": i for i in range(400)}},
        ]
    )


@pytest.mark.parametrize("seed", range(12))
def test_parts_cost_the_same_steps_as_the_whole(seed: int) -> None:
    """Also when they are used up on the way."""
    random = Random(seed)

    def world() -> State:
        made = [profile(pid, external_id=name) for pid, name in enumerate("abc", 1)]
        for one in made:
            assert one.custom is not None
            one.custom |= {
                "o": {f"k{i}": i for i in range(400)},
                "l": [f"v{i}" for i in range(50)],
                "p": [{"a": 1}] * 50,
            }
        return state_of(*made)

    commands: list[Command] = [attributes(random.choice([A, B, C]), None, **some(random)) for _ in range(60)]
    steps = random.choice([2_000, 8_000, 1_000_000])
    whole, parts = world(), world()
    step = Step(whole, Request(0, 1, 5, deepcopy(commands)), 1, b"k")
    step.work = Work(steps)
    apply_commands(step, range(60))
    other = Step(parts, Request(0, 1, 5, deepcopy(commands)), 1, b"k")
    other.work = Work(steps)
    problems, first = [], 0
    while first < 60:
        # A part of the workspace, as the store would load it: values of its own.
        loaded = State(deepcopy(list(parts.profiles.values())), deepcopy(parts.index), complete=True)
        other.begin(loaded)
        size = random.randrange(1, 20)
        apply_commands(other, range(first, min(first + size, 60)))
        other.end()
        problems += loaded.changes.problems
        parts, first = loaded, first + size
    assert (other.work.left, problems) == (step.work.left, whole.changes.problems)
    assert parts.profiles == whole.profiles
