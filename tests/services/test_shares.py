"""Shares and the gate: no history of takes lets one owner have more than half of what others leave."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.accepting.gate import Gate, GateLimits
from app.services.refusals import OverloadedError
from app.services.shares import Shares


def greedy(shares: Shares, owner: str) -> int:
    """How much an owner gets that takes what it can."""
    found = 0
    while shares.take(owner):
        found += 1
    return found


@pytest.mark.parametrize(
    ("total", "most", "found"),
    [
        (8, None, [4, 2, 1, 1]),
        (1000, None, [500, 250, 125, 62, 31]),
        (1000, 16, [16, 16, 16]),
        (2, None, [1, 1]),
        (1, None, [1, 0]),
    ],
)
def test_one_greedy_owner_after_the_other(total: int, most: int | None, found: list[int]) -> None:
    shares = Shares(total, most)
    assert [greedy(shares, str(n)) for n in range(len(found))] == found


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20), st.booleans()), max_size=60),
)
def test_any_history(total: int, most: int, history: list[tuple[str, int, bool]]) -> None:
    shares, have = Shares(total, most), Counter[str]()
    for owner, amount, gives in history:
        if gives:
            back = min(amount, have[owner])
            shares.give(owner, back)
            have[owner] -= back
            continue
        others = have.total() - have[owner]
        fits = have.total() + amount <= total and (
            not have[owner] or have[owner] + amount <= min(most, (total - others) // 2)
        )
        assert shares.take(owner, amount) is fits
        have[owner] += amount if fits else 0
        assert shares.taken == have.total() <= total
    for owner in "abc":
        shares.give(owner, have[owner])
    assert (shares.taken, dict(shares._by_owner)) == (0, {})


def test_a_gate_forgets_whoever_left() -> None:
    gate = Gate(GateLimits(4, 100, 1, 1))
    first, second, third = gate.enter(), gate.enter(), gate.enter()
    first.belongs_to(1)
    first.hold(50)
    second.belongs_to(1)
    with pytest.raises(OverloadedError):
        third.belongs_to(1)
    with pytest.raises(OverloadedError):
        second.hold(1)
    third.belongs_to(2)
    third.hold(50)
    gate.enter()
    with pytest.raises(OverloadedError):
        gate.enter()
    for place in (first, second, third, third):
        place.leave()
    assert (gate.inside, gate.places.taken, gate.bytes.taken) == (1, 0, 0)
    assert (gate.refused, gate.refused_by_owner, gate.refused_bytes) == (1, 1, 1)


def test_a_stranger_becomes_a_workspace() -> None:
    gate = Gate(GateLimits(8, 100, 1, 1))
    place, other = gate.enter(), gate.enter()
    with place.stranger("192.0.2.1"):
        place.hold(30)
        with pytest.raises(OverloadedError), other.stranger("192.0.2.1"):
            pass
        with other.stranger("192.0.2.2"):
            pass
    place.belongs_to(1)
    place.hold(10)
    assert (gate.bytes.taken, dict(gate.bytes._by_owner)) == (40, {1: 40})
    place.leave()
    other.leave()
    assert (gate.inside, gate.strangers.taken, gate.places.taken, gate.bytes.taken) == (0, 0, 0, 0)
