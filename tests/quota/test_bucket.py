"""The pure model: the reference vectors of limits-and-errors.md 3.1, and what holds for any history."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.quota.bucket import CLOCK_SLACK_MS, Bucket, Grant, Level, answers, full_at, spend, take
from tests.quota import histories
from tests.quota.exact import Exact

SECOND = 1_000
HOUR = 3_600_000


def at(hour: int, minute: int, second: int = 0) -> int:
    return int(datetime(2026, 3, 1, hour, minute, second, tzinfo=UTC).timestamp() * 1000)


def requests(bucket: Bucket, times_ms: Sequence[int]) -> list[Grant]:
    levels: tuple[Level | None, ...] = (None,)
    grants = []
    for now_ms in times_ms:
        grant, levels = take(levels, (bucket,), 1, now_ms)
        grants.append(grant)
    return grants


VECTORS = [
    # 0.34 s x 3/s = 1.02 tokens
    ("three at once, not four", Bucket("b", 3, SECOND), [0, 0, 0, 0], "TTTF"),
    ("a token after 0.34 s", Bucket("b", 3, SECOND), [0, 0, 0, 340], "TTTT"),
    # 0.30 s x 3/s = 0.90 tokens
    ("none after 0.30 s", Bucket("b", 3, SECOND), [0, 0, 0, 300], "TTTF"),
    ("full after the window", Bucket("b", 3, SECOND), [0, 0, 0, 1000, 1000, 1000, 1000], "TTTTTTF"),
    # 333 ms is 0.999 of a token and 334 ms is 1.002: the first millisecond that will do is the latter
    ("a third of a second", Bucket("b", 3, SECOND), [0, 0, 0, 333, 334], "TTTFT"),
    ("clock hour", Bucket("h", 2, HOUR, HOUR), [at(10, 0), at(10, 30), at(10, 59, 59), at(11, 0)], "TTFT"),
    # one token per 1,800 s; before each request: 2, 2, 1.99, 1.00
    ("continuous hour", Bucket("h", 2, HOUR), [at(10, 0), at(10, 30), at(10, 59, 59), at(11, 0)], "TTTT"),
    ("1,800 s to a token", Bucket("h", 2, HOUR), [0, 0, 0, 1_799_000, 1_800_000], "TTFFT"),
]


@pytest.mark.parametrize(
    ("bucket", "times_ms", "admitted"), [row[1:] for row in VECTORS], ids=[row[0] for row in VECTORS]
)
def test_reference_vectors(bucket: Bucket, times_ms: list[int], admitted: str) -> None:
    assert "".join("FT"[grant.granted] for grant in requests(bucket, times_ms)) == admitted


def test_reset_of_a_clock_hour_refusal_is_the_hour() -> None:
    refused = requests(Bucket("hourly", 2, HOUR, HOUR), [at(10, 0), at(10, 30), at(10, 59, 59)])[2]
    assert refused == Grant(0, 2, 0, at(11, 0), SECOND, "hourly")


def test_answers_of_a_continuous_hour() -> None:
    assert requests(Bucket("hourly", 2, HOUR), [0, 0, 0, 1_799_000]) == [
        Grant(1, 2, 1, 1_800_000, 0, "hourly"),
        Grant(1, 2, 0, HOUR, 0, "hourly"),
        Grant(0, 2, 0, 1_800_000, 1_800_000, "hourly"),
        Grant(0, 2, 0, 1_800_000, 1_000, "hourly"),
    ]


BURST, HOURLY = Bucket("burst", 4, SECOND), Bucket("hourly", 10, HOUR)

TOLD = [
    # (ticks of burst, of hourly), answer to one request at 0
    ("hourly 8/10 above burst 3/4", 4_000, 9 * HOUR, Grant(1, 4, 3, 250, 0, "burst")),
    ("hourly 5/10 below burst 3/4", 4_000, 6 * HOUR, Grant(1, 10, 5, HOUR // 2, 0, "hourly")),
    ("both 1/2: the first", 3_000, 6 * HOUR, Grant(1, 4, 2, 500, 0, "burst")),
    ("burst refuses", 999, 6 * HOUR, Grant(0, 4, 0, 1, 1, "burst")),
    ("hourly refuses", 4_000, HOUR - 1, Grant(0, 10, 0, 1, 1, "hourly")),
    ("both refuse: the one that refuses longest", 999, HOUR - 100, Grant(0, 10, 0, 10, 10, "hourly")),
    ("both refuse as long: the first", 996, HOUR - 10, Grant(0, 4, 0, 1, 1, "burst")),
]


@pytest.mark.parametrize(("burst", "hourly", "expected"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
def test_which_bucket_is_told(burst: int, hourly: int, expected: Grant) -> None:
    levels = (Level(burst, 0, SECOND), Level(hourly, 0, HOUR))
    grant, kept = take(levels, (BURST, HOURLY), 1, 0)
    assert grant == expected
    taken = expected.granted
    assert kept == (Level(burst - taken * SECOND, 0, SECOND), Level(hourly - taken * HOUR, 0, HOUR))


CHANGES = [
    ("window longer: whole tokens stay", Level(4_900, 0, SECOND), Bucket("b", 10, 60_000), 4 * 60_000),
    ("window shorter: whole tokens stay", Level(4 * 60_000 + 59_999, 0, 60_000), Bucket("b", 10, SECOND), 4_000),
    ("capacity smaller: no more than it", Level(9_000, 0, SECOND), Bucket("b", 5, SECOND), 5_000),
    ("capacity greater: not refilled for it", Level(9_000, 0, SECOND), Bucket("b", 50, SECOND), 9_000),
    ("both smaller", Level(9 * 60_000, 0, 60_000), Bucket("b", 5, SECOND), 5_000),
]


@pytest.mark.parametrize(("level", "bucket", "ticks"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_changed_limit(level: Level, bucket: Bucket, ticks: int) -> None:
    assert take((level,), (bucket,), 0, 0)[1] == (Level(ticks, 0, bucket.window_ms),)


CLOCKS = [
    # a bucket of 10 per second that had 1.5 tokens at 100,000
    ("standing", 100_000, Level(1_500, 100_000, SECOND)),
    ("5 s back: waited for", 95_000, Level(1_500, 100_000, SECOND)),
    ("a minute back: waited for", 40_000, Level(1_500, 100_000, SECOND)),
    ("further back: believed, nothing gained", 39_999, Level(1_500, 39_999, SECOND)),
    ("forward", 100_050, Level(2_000, 100_050, SECOND)),
    ("far forward: full and no more", 4_100_000, Level(10_000, 4_100_000, SECOND)),
]


@pytest.mark.parametrize(("now_ms", "expected"), [row[1:] for row in CLOCKS], ids=[row[0] for row in CLOCKS])
def test_clock(now_ms: int, expected: Level) -> None:
    assert take((Level(1_500, 100_000, SECOND),), (Bucket("b", 10, SECOND),), 0, now_ms)[1] == (expected,)


def test_clock_that_crosses_a_boundary_twice_refills_once() -> None:
    grants = requests(Bucket("h", 1, HOUR, HOUR), [at(10, 59, 59), at(11, 0), at(10, 59, 59), at(11, 0, 1)])
    assert [grant.granted for grant in grants] == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "capacity", "window_ms", "align_ms"),
    [("", 1, 1, 0), ("b", 0, 1, 0), ("b", 1, 0, 0), ("b", 1, 1, -1), ("b", 2**43, 1024, 0)],
)
def test_impossible_buckets(name: str, capacity: int, window_ms: int, align_ms: int) -> None:
    with pytest.raises(ValueError, match="bucket"):
        Bucket(name, capacity, window_ms, align_ms)


def test_impossible_takes() -> None:
    with pytest.raises(ValueError, match="at least one bucket"):
        take((), (), 1, 0)
    with pytest.raises(ValueError, match="zero or more"):
        take((None,), (BURST,), -1, 0)


@settings(deadline=None, max_examples=150)
@given(histories.pairs(), histories.steps())
def test_a_take_of_k_is_k_takes_of_one(buckets: tuple[Bucket, ...], steps: list[histories.Step]) -> None:
    levels: tuple[Level | None, ...] = (None,) * len(buckets)
    now_ms = histories.START_MS
    for move, wanted in steps:
        now_ms += move
        singles, one_by_one = [], take(levels, buckets, 0, now_ms)[1]
        for _ in range(wanted):
            before = one_by_one
            grant, one_by_one = take(one_by_one, buckets, 1, now_ms)
            singles.append(grant)
            assert grant.granted or one_by_one == before  # a refusal takes nothing
            assert 0 <= grant.remaining <= grant.limit
        grant, kept = take(levels, buckets, wanted, now_ms)
        assert kept == one_by_one
        assert answers(kept, buckets, wanted, grant.granted, now_ms) == tuple(singles)
        levels = kept


@settings(deadline=None, max_examples=100)
@given(histories.buckets("b"), histories.steps())
def test_to_spend_is_to_take_one(bucket: Bucket, steps: list[histories.Step]) -> None:
    level: Level | None = None
    now_ms = histories.START_MS
    for move, wanted in steps:
        now_ms += move
        for _ in range(wanted):
            grant, (kept,) = take((level,), (bucket,), 1, now_ms)
            level, refusal = spend(level, bucket, now_ms)
            assert (level, refusal) == (kept, None if grant.granted else grant)


@settings(deadline=None, max_examples=150)
@given(histories.pairs(), histories.steps())
def test_equals_rational_arithmetic(buckets: tuple[Bucket, ...], steps: list[histories.Step]) -> None:
    levels: tuple[Level | None, ...] = (None,) * len(buckets)
    exact, now_ms = Exact(len(buckets)), histories.START_MS
    for move, wanted in steps:
        now_ms += move
        grant, kept = take(levels, buckets, wanted, now_ms)
        assert list(answers(kept, buckets, wanted, grant.granted, now_ms)) == exact.take(buckets, wanted, now_ms)
        levels = kept


@settings(deadline=None, max_examples=150)
@given(histories.pairs(), histories.steps())
def test_reset_is_kept(buckets: tuple[Bucket, ...], steps: list[histories.Step]) -> None:
    """Refused: the first millisecond that admits. Admitted: the one at which the bucket told is full."""
    levels: tuple[Level | None, ...] = (None,) * len(buckets)
    now_ms = histories.START_MS
    for move, wanted in steps:
        now_ms += move
        grant, kept = take(levels, buckets, wanted + 1, now_ms)
        levels = kept
        then, _ = take(levels, buckets, 1, grant.reset_ms)
        if grant.granted:
            told = [bucket.name for bucket in buckets].index(grant.name)
            _, full = take(levels, buckets, 0, grant.reset_ms)
            assert full[told].ticks == buckets[told].capacity * buckets[told].window_ms
            assert full_at(kept[told], buckets[told]) == grant.reset_ms
        else:
            assert grant.retry_after_ms == grant.reset_ms - now_ms > 0
            assert then.granted
            assert not take(levels, buckets, 1, grant.reset_ms - 1)[0].granted


def admitted(bucket: Bucket, readings: Sequence[int]) -> list[int]:
    """Tokens granted at each reading of the clock to somebody who wants all there is."""
    levels: tuple[Level | None, ...] = (None,)
    granted = []
    for now_ms in readings:
        grant, levels = take(levels, (bucket,), bucket.capacity, now_ms)
        granted.append(grant.granted)
    return granted


def assert_no_window_over_admits(bucket: Bucket, granted: Sequence[int], passed_ms: Sequence[int]) -> None:
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            length_ms = passed_ms[last] - passed_ms[first]
            total = sum(granted[first : last + 1])
            assert total * bucket.window_ms <= bucket.capacity * (bucket.window_ms + length_ms)


def continuous() -> st.SearchStrategy[Bucket]:
    return histories.buckets("b").map(lambda bucket: Bucket("b", bucket.capacity, bucket.window_ms))


@settings(deadline=None, max_examples=150)
@given(continuous(), st.lists(st.tuples(st.integers(0, 4_000_000) | st.integers(0, 900), st.integers(-5_000, 0))))
def test_no_window_over_admits(bucket: Bucket, moves: list[tuple[int, int]]) -> None:
    """Measured by the clock's highest reading: going back five seconds, however often, gains nothing."""
    forward = list(accumulate((move for move, _ in moves), initial=histories.START_MS))
    readings = [now_ms + jitter for now_ms, (_, jitter) in zip(forward, [(0, 0), *moves], strict=True)]
    assert_no_window_over_admits(bucket, admitted(bucket, readings), list(accumulate(readings, max)))


@settings(deadline=None, max_examples=150)
@given(continuous(), st.lists(histories.moves, max_size=30))
def test_wrong_clocks_gain_what_they_went_forward(bucket: Bucket, moves: list[int]) -> None:
    """With steps back of hours: measured by all forward movement."""
    readings = list(accumulate(moves, initial=histories.START_MS))
    passed = list(accumulate((max(0, move) for move in moves), initial=0))
    assert_no_window_over_admits(bucket, admitted(bucket, readings), passed)


@settings(deadline=None, max_examples=150)
@given(histories.buckets("b"), st.lists(histories.moves, max_size=20))
def test_no_clock_stops_refill_for_longer_than_the_slack(bucket: Bucket, moves: list[int]) -> None:
    levels: tuple[Level | None, ...] = (None,)
    now_ms = histories.START_MS
    for move in [*moves, 0]:
        now_ms += move
        _, levels = take(levels, (bucket,), bucket.capacity, now_ms)
    for later in range(0, CLOCK_SLACK_MS + 1, CLOCK_SLACK_MS // 4):
        _, levels = take(levels, (bucket,), 0, now_ms + later)
    grant, _ = take(levels, (bucket,), bucket.capacity, now_ms + CLOCK_SLACK_MS + bucket.window_ms)
    assert grant.granted == bucket.capacity
