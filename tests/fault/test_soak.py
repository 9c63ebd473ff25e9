"""What a soak extrapolates."""

import pytest

from fault.soak import slope


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param([], 0.0, id="nothing"),
        pytest.param([(10.0, 5.0)], 0.0, id="one moment"),
        pytest.param([(10.0, 5.0), (10.0, 7.0)], 0.0, id="two values of one moment"),
        pytest.param([(0.0, 100.0), (10.0, 101.0), (20.0, 102.0)], 0.1, id="it grows"),
        pytest.param([(0.0, 4.0), (10.0, 6.0), (20.0, 4.0)], 0.0, id="it comes back"),
    ],
)
def test_slope(points: list[tuple[float, float]], expected: float) -> None:
    assert slope(points) == pytest.approx(expected)
