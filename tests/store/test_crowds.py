"""What a worker remembers of crowds: how much memory it takes."""

import tracemalloc

import pytest

from app.domain.loading import NEWEST, OLDEST
from app.domain.profile import EMAIL
from app.store.profiles.crowds import MAX_REMEMBERED, Crowds, Memory, Ranking

DEPTH = 2_048


def crowd(first: int, members: int) -> Ranking:
    """As the query gives it."""
    ranked = [(f"{first + n}", 10**15 + n, n, 10**15 + n, f"{first + n:024x}") for n in range(members)]
    ends = [(0, NEWEST, *row) for row in ranked[::-1][:DEPTH]] + [(0, OLDEST, *row) for row in ranked[:DEPTH]]
    pids = ",".join(row[0] for row in ranked)
    return Ranking([*ends, (0, "all", pids, 0, 0, 0, "")], DEPTH)


def crowds(many: int, members: int) -> Crowds:
    found = Crowds()
    for n in range(many):
        found._rankings[EMAIL, "", f"{n}@example.org"] = crowd(2**40 + n * members, members)
    return found


@pytest.mark.parametrize(("many", "members"), [(1, 50_000), (3, 5_000), (100, 101), (300, 1)])
def test_its_size_is_what_it_takes(many: int, members: int) -> None:
    tracemalloc.start()
    try:
        found = crowds(many, members)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 0.5 < taken / (100 * found.size) < 1.7


def test_many_small_crowds_are_not_remembered_without_end() -> None:
    memory, large = Memory(), crowds(300, 101)
    assert MAX_REMEMBERED / 2 < large.size < MAX_REMEMBERED
    memory.remember(1, [5, 0], large)
    assert memory.recall(1, [5, 0]) is large
    memory.remember(1, [5, 0], large)
    memory.remember(2, [7, 0], crowds(300, 101))
    assert memory.recall(1, [5, 0]) is not large
