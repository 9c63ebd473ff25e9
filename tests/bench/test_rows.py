"""What a run shows: every row found before a failure, and no row that says that nothing happened."""

from collections.abc import Iterator

import pytest

from bench.table import BenchError, Row, Rows

FIRST, SECOND = Row("accept", 900.0, "requests/s"), Row("apply", 0.5, "objects/s", 2.0)


def failing() -> Iterator[Row]:
    yield FIRST
    yield SECOND
    raise BenchError("the applier ended")


@pytest.mark.parametrize("nothing", [0.0, -1.0, float("nan")])
def test_a_row_in_which_nothing_happened_fails_the_run_and_those_before_it_stay(nothing: float) -> None:
    rows = Rows()
    with pytest.raises(BenchError, match=r"flat: .* objects/s, so nothing was measured"):
        rows.take([FIRST, Row("flat", nothing, "objects/s"), SECOND])
    assert rows.found == [FIRST]


def test_rows_found_before_a_failure_stay() -> None:
    rows = Rows()
    rows.take([FIRST])
    with pytest.raises(BenchError, match="the applier ended"):
        rows.take(failing())
    assert rows.found == [FIRST, FIRST, SECOND]
