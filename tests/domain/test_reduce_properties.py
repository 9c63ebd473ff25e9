"""The reducer on any log: total, deterministic, and the same whatever the batches."""

from dataclasses import asdict
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from app.contract import kinds, stored, track
from app.contract.errors import RefusedError
from app.domain import sizes
from app.domain.apply import reduce
from app.domain.commands import Request
from app.domain.identifiers import identifiers_of
from app.domain.profile import BRAZE
from app.domain.settings import ApplySettings
from app.domain.state import State
from tests.fuzz.size import cases
from tests.strategies import bodies

START = 1_795_000_000_000_000


def log(sent: list[dict[str, Any]]) -> list[Request]:
    """The accepted requests among those sent. Decoded anew each time: reducing may keep parts of a command."""
    requests: list[Request] = []
    for body in sent:
        try:
            accepted = track.check(msgspec.json.encode(body), track.Limits(None, None))
        except RefusedError:
            continue
        commands = stored.commands(kinds.TRACK, accepted.codec, accepted.body)
        requests.append(Request(0, len(requests) + 1, START + 2 * len(requests), commands))
    return requests


def facts(state: State) -> object:
    """All that a state says, in a form that compares by value."""
    return (
        {pid: asdict(profile) for pid, profile in state.profiles.items()},
        {key: pids for key, pids in state.index.items() if pids},
        {address: consent for address, consent in state.addresses.items() if consent is not None},
        state.changes.problems,
        state.changes.occurrences,
        state.changes.counts,
    )


@settings(deadline=None, max_examples=cases(60))
@given(st.lists(bodies, max_size=8), st.data())
def test_any_split_of_the_log_gives_the_same_state(sent: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = State(complete=True)
    reduce(log(sent), whole, 1, b"k")
    again = State(complete=True)
    requests = log(sent)
    while requests:
        n = data.draw(st.integers(1, len(requests)))
        reduce(requests[:n], again, 1, b"k")
        requests = requests[n:]
    assert facts(again) == facts(whole)


@settings(deadline=None, max_examples=cases(60))
@given(st.lists(bodies, max_size=8), st.sampled_from((400, 1_000, 8_000_000)))
def test_the_size_says_what_the_sections_hold(sent: list[dict[str, Any]], bound: int) -> None:
    state = State(complete=True, settings=ApplySettings(max_profile_bytes=bound))
    for request in log(sent):
        reduce([request], state, 1, b"k")
        assert {pid: one.size for pid, one in state.profiles.items()} == {
            pid: sizes.of_profile(one) for pid, one in state.profiles.items()
        }


@settings(deadline=None, max_examples=cases(60))
@given(st.lists(bodies, max_size=8))
def test_the_index_says_what_the_profiles_say(sent: list[dict[str, Any]]) -> None:
    state = State(complete=True)
    reduce(log(sent), state, 1, b"k")
    expected: dict[Any, set[int]] = {}
    for profile in state.profiles.values():
        for key in identifiers_of(profile):
            expected.setdefault(key, set()).add(profile.pid)
    listed = {(key, pid) for key, pids in expected.items() for pid in pids}
    expected |= {(BRAZE, "", profile.braze_id): {profile.pid} for profile in state.profiles.values()}
    assert {key: pids for key, pids in state.index.items() if pids} == expected
    assert all(len(pids) == 1 for key, pids in expected.items() if key[0] in (1, 2, 3, BRAZE))
    assert state.changes.identifiers_added == listed
    assert state.changes.identifiers_dropped == set()


@settings(deadline=None, max_examples=cases(60))
@given(st.lists(bodies, max_size=6))
def test_every_object_is_counted_once_as_applied_or_skipped(sent: list[dict[str, Any]]) -> None:
    state = State(complete=True)
    requests = log(sent)
    reduce(requests, state, 1, b"k")
    counts = state.changes.counts
    applied = counts.attributes + counts.events + counts.purchases
    assert applied + counts.skipped == sum(len(request.commands) for request in requests)
