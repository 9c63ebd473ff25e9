"""Batch sizes and suspects, as values."""

import pytest

from app.domain.commands import StreamKey
from workers.batches import FIRST_BYTES, FIRST_REQUESTS, MAX_BYTES, MAX_REQUESTS, MIN_BYTES, BatchSize, Suspects


@pytest.mark.parametrize(
    ("seconds", "requests", "size", "expected"),
    [
        (0.2, 64, 10_000, (FIRST_REQUESTS, FIRST_BYTES)),
        (0.01, 64, 10_000, (2 * FIRST_REQUESTS, 2 * FIRST_BYTES)),
        (1.0, 64, 700_000, (32, FIRST_BYTES // 2)),
        (1.0, 3, 600_000, (1, FIRST_BYTES // 2)),  # few requests, but large ones
        (1.0, 1, 1_000, (1, MIN_BYTES)),
    ],
)
def test_a_size_learns_from_its_batch(seconds: float, requests: int, size: int, expected: tuple[int, int]) -> None:
    one = BatchSize()
    one.adapt(seconds, requests, size)
    assert (one.requests, one.bytes) == expected


def test_a_batch_that_was_all_there_was_says_nothing_about_larger_ones() -> None:
    one = BatchSize()
    one.adapt(0.01, 3, 1_000, grow=False)
    assert one == BatchSize()
    one.adapt(1.0, 3, 1_000, grow=False)  # but something about smaller ones
    assert (one.requests, one.bytes) == (1, MIN_BYTES)


def test_sizes_end_somewhere() -> None:
    one = BatchSize()
    for _ in range(40):
        one.adapt(0.0, 1, 1)
    assert (one.requests, one.bytes) == (MAX_REQUESTS, MAX_BYTES)
    for _ in range(40):
        one.adapt(9.0, one.requests, one.bytes)
    assert (one.requests, one.bytes) == (1, MIN_BYTES)


@pytest.mark.parametrize("guilty", [1, 2, 250, 511, 512])
def test_the_guilty_one_is_alone_after_a_few_tries(guilty: int) -> None:
    """512 requests are tried; a part fails when it holds the guilty one."""
    key, suspects, cursor, failed, tried = StreamKey(1, 0), Suspects(), 0, 0, 0
    suspects.suspect(key, 512)
    while cursor < guilty - 1 or suspects.limit(key, cursor, 512) > 1:
        limit = suspects.limit(key, cursor, 512)
        tried += limit
        if cursor < guilty <= cursor + limit:
            failed += 1
            suspects.suspect(key, cursor + limit)
        else:
            cursor += limit
    assert cursor == guilty - 1
    assert failed <= 5
    assert tried <= 2 * 512
    assert suspects.limit(StreamKey(1, 1), 0, 77) == 77
    assert suspects.limit(key, 512, 77) == 77
    assert suspects.limit(key, 0, 77) == 77  # forgotten behind its end
