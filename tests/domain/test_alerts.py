"""When an alert fires and when it is over: against a history of numbers, second by second."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.alerts import CLEARING, FIRING, OK, PENDING, RESOLVED, Alert, Standing, step
from app.domain.times import SECOND

ALERT = Alert(
    workspace_id=1,
    id="a",
    name="Refusals",
    metric="responses_4xx",
    above=5,
    window_minutes=5,
    for_seconds=3,
    clear_seconds=2,
    key_id="",
    endpoint="",
    channel="webhook",
    targets=("https://hooks.example.org/",),
    enabled=True,
    created_us=0,
    created_by="k",
)


def history(alert: Alert, values: list[int]) -> list[tuple[str, str]]:
    """(state, what is said) after each look, one a second."""
    seen = []
    for second, value in enumerate(values):
        standing, said = step(alert, value, second * SECOND)
        changed = standing != alert.standing
        assert standing.version == alert.standing.version + changed
        assert bool(said) <= changed
        alert = replace(alert, standing=standing)
        seen.append((standing.state, said))
    return seen


TABLE = [
    ("never", 3, 2, [5, 0, 5], [(OK, ""), (OK, ""), (OK, "")]),
    ("at once", 0, 0, [6, 6, 5, 6], [(FIRING, FIRING), (FIRING, ""), (OK, RESOLVED), (FIRING, FIRING)]),
    ("not for long enough", 3, 2, [6, 6, 6, 5], [(PENDING, ""), (PENDING, ""), (PENDING, ""), (OK, "")]),
    (
        "for long enough",
        2,
        2,
        [6, 7, 8, 9, 0, 0, 0],
        [
            (PENDING, ""),
            (PENDING, ""),
            (FIRING, FIRING),
            (FIRING, ""),
            (CLEARING, ""),
            (CLEARING, ""),
            (OK, RESOLVED),
        ],
    ),
    (
        "comes back before it is over",
        0,
        3,
        [6, 0, 0, 6, 0, 0, 0, 0],
        [
            (FIRING, FIRING),
            (CLEARING, ""),
            (CLEARING, ""),
            (FIRING, ""),
            (CLEARING, ""),
            (CLEARING, ""),
            (CLEARING, ""),
            (OK, RESOLVED),
        ],
    ),
]


@pytest.mark.parametrize(
    ("for_seconds", "clear_seconds", "values", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_histories(for_seconds: int, clear_seconds: int, values: list[int], expected: list[tuple[str, str]]) -> None:
    assert history(replace(ALERT, for_seconds=for_seconds, clear_seconds=clear_seconds), values) == expected


@given(st.lists(st.integers(4, 7), max_size=60), st.integers(0, 4), st.integers(0, 4))
def test_what_is_said_alternates_and_has_lasted(values: list[int], for_seconds: int, clear_seconds: int) -> None:
    seen = history(replace(ALERT, for_seconds=for_seconds, clear_seconds=clear_seconds), values)
    said = [(second, word) for second, (_, word) in enumerate(seen) if word]
    assert [word for _, word in said] == [(FIRING, RESOLVED)[n % 2] for n in range(len(said))]
    for second, word in said:
        lasted = for_seconds if word == FIRING else clear_seconds
        assert all((value > ALERT.above) == (word == FIRING) for value in values[second - lasted : second + 1])
    # Whatever has lasted for longer than it may is said.
    for second, (state, _) in enumerate(seen):
        if state == PENDING:
            assert not all(value > ALERT.above for value in values[max(0, second - for_seconds) : second + 1]) or (
                second < for_seconds
            )


@given(st.sampled_from([PENDING, CLEARING]), st.integers(0, 10), st.integers(1, 10**9))
def test_a_clock_that_steps_back_holds_up_nothing(state: str, value: int, back: int) -> None:
    alert = replace(ALERT, standing=Standing(state, back * SECOND, 1))
    standing, said = step(alert, value, 0)
    assert (standing, said) == (Standing(state, 0, 2), "")
    assert step(replace(alert, standing=standing), 9, 3 * SECOND)[0].state == FIRING
