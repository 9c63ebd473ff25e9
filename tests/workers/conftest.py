"""While workers are tested, their statements are looked at."""

from collections.abc import Iterator

import pytest

from tests.pinned import watch


@pytest.fixture(autouse=True)
def statements_say_whose_rows_they_mean() -> Iterator[None]:
    """In each of their selects, so that one node of several answers: see tests/pinned.py."""
    watch.unexplained()
    yield
    assert watch.unexplained() == {}
