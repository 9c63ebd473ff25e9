"""A request that is cut anywhere leaves the same state as the uncut one: what is handed on is all that matters."""

import json
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import sdk, stored
from app.domain.apply import apply_commands, reduce, reduce_part
from app.domain.commands import Request
from app.domain.order import positions
from app.domain.progress import Progress
from app.domain.state import State
from app.domain.step import Step
from app.domain.work import MAX_WORK
from tests.accepting import entry
from tests.domain import visitors
from tests.domain.builders import state_of
from tests.strategies import requests

Json = dict[str, Any]
SECRET = b"secret"


def whole(state: State) -> tuple[Any, ...]:
    return state.profiles, state.index, state.addresses, state.records, state.lineage, state.settings, state.changes


def at_once(request: Request, state: State) -> int:
    """Apply a request. Returns the steps that are left of it."""
    step = Step(state, request, 1, SECRET)
    apply_commands(step, positions(request, state.holders))
    return step.work.left


def in_parts(request: Request, state: State, cuts: list[int]) -> int:
    """As `at_once`, so many commands at a time, by turns. What is handed on is what the lane's row would have."""
    rest = list(positions(request, state.holders))
    done, turn, left = 0, 0, MAX_WORK
    while rest:
        many = cuts[turn % len(cuts)]
        step = Step(state, request, 1, SECRET)
        apply_commands(step, rest[:many])
        done, rest, turn = done + len(rest[:many]), rest[many:], turn + 1
        left = step.work.left
        document = msgspec.json.encode(Progress(done, rest, step.end(), 1))
        request = replace(request, begun=msgspec.json.decode(document, type=Progress))
    return left


def of_track(sent: tuple[str, Json], seq: int) -> list[Request]:
    found = entry(*sent)
    if found is None:
        return []
    _, codec, body = stored.opened(found.codec, found.body)
    return [Request(0, seq, seq * 1_000_000, stored.commands(found.kind, codec, body))]


def of_device(batch: Json, seq: int) -> list[Request]:
    checked = sdk.check(json.dumps(batch).encode(), visitors.SIGNED, seq * 1_000_000)
    return [Request(0, seq, seq * 1_000_000, sdk.decode(checked.body))]


@settings(deadline=None, max_examples=100)
@given(
    st.lists(requests, max_size=10),
    visitors.deliveries(),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
)
def test_cut_anywhere_equals_uncut(sent: list[tuple[str, Json]], arriving: list[Json], cuts: list[int]) -> None:
    uncut, cut = state_of(), state_of()
    for seq, one in enumerate(sent, 1):
        for request, again in zip(of_track(one, seq), of_track(one, seq), strict=True):
            assert in_parts(request, cut, cuts) == at_once(again, uncut)
    for seq, batch in enumerate(arriving, len(sent) + 1):
        for request, again in zip(of_device(batch, seq), of_device(batch, seq), strict=True):
            assert in_parts(request, cut, cuts) == at_once(again, uncut)
    assert whole(cut) == whole(uncut)


@settings(deadline=None, max_examples=50)
@given(requests, st.integers(0, 6))
def test_the_first_commands_and_then_the_others(sent: tuple[str, Json], many: int) -> None:
    """As the reference applies a request that died in one of its parts, and the letter that was sent again."""
    uncut, cut = state_of(), state_of()
    reduce(of_track(sent, 1), uncut, 1, SECRET)
    for request in of_track(sent, 1):
        order = list(positions(request, cut.holders))
        reduce_part(request, many, cut, 1, SECRET)
        begun = Progress(len(order[:many]), order[many:], Step(cut, request, 1, SECRET).carried(), 1)
        again = replace(request, begun=begun)
        reduce_part(again, many, cut, 1, SECRET)  # nothing is left of these
        reduce([again], cut, 1, SECRET)
    assert cut.profiles == uncut.profiles
    assert cut.changes.counts == uncut.changes.counts
