"""What a reader finds of one person, and what it says: lost, doubled, an older value."""

from typing import Any

import pytest

from bench.baseline.bursts import STEPS, Person, Verdict, judged


@pytest.mark.parametrize(
    ("accepted", "unknown", "attributes", "lost", "doubled", "stale"),
    [
        pytest.param(5, 0, {"visits": 5, "step": 5}, 0, 0, 0, id="as it should be"),
        pytest.param(5, 0, {"visits": 5, "step": 4}, 0, 0, 1, id="the last two in the wrong order"),
        pytest.param(5, 0, {"visits": 4, "step": 5}, 1, 0, 0, id="one is lost"),
        pytest.param(5, 0, {"visits": 4, "step": 4}, 1, 0, 1, id="the last one is lost"),
        pytest.param(5, 0, {}, 5, 0, 1, id="nobody is there"),
        pytest.param(5, 0, {"visits": 7, "step": 5}, 0, 2, 0, id="two are doubled"),
        pytest.param(4, 1, {"visits": 4, "step": 4}, 0, 0, 0, id="without an answer: not applied"),
        pytest.param(4, 1, {"visits": 5, "step": 5}, 0, 0, 0, id="without an answer: applied"),
        pytest.param(4, 1, {"visits": 6, "step": 5}, 0, 1, 0, id="more than was sent"),
        pytest.param(0, 5, {}, 0, 0, 0, id="nothing was answered"),
    ],
)
def test_judged(accepted: int, unknown: int, attributes: dict[str, Any], lost: int, doubled: int, stale: int) -> None:
    assert accepted + unknown == STEPS
    person = Person("p", accepted, unknown)
    assert judged(person, attributes) == Verdict(1, accepted, unknown, lost, doubled, stale)
