"""take.lua against the pure model: a real server == fakeredis == rational arithmetic, and the keys it leaves."""

import hashlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from typing import cast

import fakeredis
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.quota.bucket import CLOCK_SLACK_MS, Bucket, Level, answers, take
from app.quota.usage import Minute, minutes
from tests.quota import histories
from tests.quota.exact import Exact
from tests.quota.server import Server
from tests.quota.take import FRESH, SCRIPT, call, keys

BURST, HOURLY = Bucket("burst", 4, 1_000), Bucket("hourly", 10, 3_600_000)


@pytest.fixture(scope="module")
def fake() -> Iterator[redis.Redis]:
    with fakeredis.FakeRedis() as client:
        yield client


def test_the_slack_is_the_models() -> None:
    assert f"local SLACK = {CLOCK_SLACK_MS} " in SCRIPT


# The server is shared by the examples; each has a workspace of its own.
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        histories.pairs().map(lambda pair: [pair, pair]),
        # those of a workspace and of its company
        st.tuples(*(histories.buckets(name) for name in ("burst", "hourly", "company-burst", "company-hourly"))).map(
            lambda four: [four, four]
        ),
        # a limit that changes back and forth
        st.tuples(st.tuples(histories.buckets("burst")), st.tuples(histories.buckets("burst"))).map(list),
    ),
    st.lists(st.tuples(histories.moves, histories.counts, st.booleans()), min_size=1, max_size=15),
)
def test_server_fake_and_rational_arithmetic_are_equal(
    valkey: Server, fake: redis.Redis, limits: list[tuple[Bucket, ...]], steps: list[tuple[int, int, bool]]
) -> None:
    workspace_id, now_ms = next(FRESH), histories.START_MS
    exact = Exact(len(limits[0]))
    levels: tuple[Level | None, ...] = (None,) * len(limits[0])
    for move, wanted, second in steps:
        now_ms += move
        buckets = limits[second]
        grant, kept = take(levels, buckets, wanted, now_ms)
        reply = [now_ms, grant.granted, *chain.from_iterable((level.ticks, level.at_ms) for level in kept)]
        assert call(valkey.client, workspace_id, buckets, wanted, now_ms) == reply
        assert call(fake, workspace_id, buckets, wanted, now_ms) == reply
        assert list(answers(kept, buckets, wanted, grant.granted, now_ms)) == exact.take(buckets, wanted, now_ms)
        assert exact.state() == [(Fraction(level.ticks, level.window_ms), level.at_ms) for level in kept]
        levels = kept


def test_keys(valkey: Server) -> None:
    """The whole state: two strings that expire a minute after they would be full."""
    now_ms = histories.START_MS
    assert call(valkey.client, 7, (BURST, HOURLY), 3, now_ms) == [now_ms, 3, 1_000, now_ms, 7 * 3_600_000, now_ms]
    stored = {key: valkey.client.get(key) for key in valkey.client.scan_iter()}
    assert stored == {
        "t:q:{7}:burst": f"1000 {now_ms} 1000",
        "t:q:{7}:hourly": f"25200000 {now_ms} 3600000",
    }
    for key, full_in_ms in (("t:q:{7}:burst", 750), ("t:q:{7}:hourly", 3 * 360_000)):
        ttl = valkey.client.pttl(key)
        assert full_in_ms + CLOCK_SLACK_MS - 5_000 < ttl <= full_in_ms + CLOCK_SLACK_MS


def test_expiry_is_at_the_boundary_when_aligned(valkey: Server) -> None:
    hour = histories.START_MS // 3_600_000 * 3_600_000
    call(valkey.client, 7, (Bucket("h", 2, 3_600_000, 3_600_000),), 1, hour + 3_599_000)
    ttl = valkey.client.pttl("t:q:{7}:h")
    assert CLOCK_SLACK_MS - 4_000 < ttl <= CLOCK_SLACK_MS + 1_000


@pytest.mark.parametrize("junk", ["", "junk", "1 2", "-5 1 1000", "1 2 0", "1.5 2 1000", "1e3 2 1000"])
def test_unreadable_state_is_a_full_bucket(valkey: Server, junk: str) -> None:
    valkey.client.set("t:q:{7}:burst", junk)
    assert call(valkey.client, 7, (BURST,), 1, 5_000) == [5_000, 1, 3_000, 5_000]


def test_foreign_type_is_a_full_bucket(valkey: Server) -> None:
    valkey.client.hset("t:q:{7}:burst", "field", "value")
    assert call(valkey.client, 7, (BURST,), 1, 5_000) == [5_000, 1, 3_000, 5_000]


def test_largest_numbers_stay_exact(valkey: Server, fake: redis.Redis) -> None:
    capacity, window_ms = histories.LARGEST
    bucket = Bucket("b", capacity, window_ms)
    full = capacity * window_ms
    for client in (valkey.client, fake):
        workspace_id = next(FRESH)
        assert call(client, workspace_id, (bucket,), 1, 0) == [0, 1, full - window_ms, 0]
        # below a full bucket by window_ms - capacity ticks, a number that a rounded sum would miss
        wanted = capacity - 1
        assert call(client, workspace_id, (bucket,), wanted, 0) == [0, wanted, 0, 0]
        assert call(client, workspace_id, (bucket,), capacity, 3_599_999) == [
            3_599_999,
            (full - capacity) // window_ms,
            (full - capacity) % window_ms,
            3_599_999,
        ]


def test_without_now_it_is_the_servers_clock(valkey: Server) -> None:
    def server_ms() -> int:
        seconds, micros = valkey.client.time()
        return seconds * 1000 + micros // 1000

    before = server_ms()
    now_ms = call(valkey.client, 7, (BURST,), 1, "")[0]
    assert before <= now_ms <= server_ms()


@pytest.mark.parametrize(
    ("names", "arguments"),
    [([], [1, ""]), (["k"], [1, "", 1, 1]), (["k"], [-1, "", 1, 1, 0])],
    ids=["no key", "too few numbers", "negative count"],
)
def test_wrong_calls_are_refused(valkey: Server, names: list[str], arguments: list[int | str]) -> None:
    with pytest.raises(redis.ResponseError, match=r"take\.lua"):
        valkey.client.eval(SCRIPT, len(names), *names, *[str(value) for value in arguments])
    assert valkey.client.dbsize() == 0


def test_runs_by_its_digest(valkey: Server) -> None:
    assert valkey.client.script_load(SCRIPT) == hashlib.sha1(SCRIPT.encode()).hexdigest()


# Usage, counted in the same call


def counted(client: redis.Redis, bucket: Bucket, runs: Sequence[tuple[int, int]], counters: Sequence[str]) -> list[int]:
    """One call with runs of (which counter, how many requests) at minute 7 of a day; what was granted."""
    wanted = sum(asked for _, asked in runs)
    names = [*keys(7, (bucket,)), *counters]
    limits = [bucket.capacity, bucket.window_ms, bucket.align_ms]
    arguments = [wanted, histories.START_MS, 1, *limits, 7, *chain.from_iterable(runs)]
    return cast("list[int]", client.eval(SCRIPT, len(names), *names, *[str(value) for value in arguments]))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 30),
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=6), min_size=1, max_size=4),
)
def test_usage_is_what_was_granted_in_the_order_of_arrival(
    valkey: Server, fake: redis.Redis, capacity: int, calls: list[list[tuple[int, int]]]
) -> None:
    bucket = Bucket("b", capacity, 3_600_000)
    names = [f"t:u:{{7}}:{n}" for n in (1, 2, 3)]
    for client in (valkey.client, fake):
        client.delete(*keys(7, (bucket,)), *names)
        left, expected = capacity, {1: [0, 0], 2: [0, 0], 3: [0, 0]}
        for runs in calls:
            counted(client, bucket, runs, names)
            for who, asked in runs:
                taken = min(left, asked)
                left -= taken
                if who:  # 0: not counted
                    expected[who][0] += taken
                    expected[who][1] += asked - taken
        raw = redis_bytes(client, names)
        assert [minutes(value, 0) for value in raw] == [
            [Minute(7, *expected[who])] if any(expected[who]) else [] for who in (1, 2, 3)
        ]


def redis_bytes(client: redis.Redis, names: Sequence[str]) -> list[bytes | None]:
    """Values as they are, also from a client that decodes."""
    script = "local r = {} for i = 1, #KEYS do local v = redis.call('GET', KEYS[i]) or '' local h = '' for c = 1, #v do"
    script += " h = h .. string.format('%02x', string.byte(v, c)) end r[i] = h end return r"
    found = cast("list[str | bytes]", client.eval(script, len(names), *names))
    return [bytes.fromhex(text.decode() if isinstance(text, bytes) else text) or None for text in found]


def test_a_counter_of_usage_ends_and_a_foreign_one_stops_nobody(valkey: Server) -> None:
    name = "t:u:{7}:1"
    assert counted(valkey.client, BURST, [(1, 6)], [name])[1] == 4
    assert 172_800 - 5 < valkey.client.ttl(name) <= 172_800
    valkey.client.delete(name)
    valkey.client.hset(name, "field", "value")
    valkey.client.delete(*keys(7, (BURST,)))
    assert counted(valkey.client, BURST, [(1, 6)], [name])[1] == 4
    assert valkey.client.type(name) == "hash"


def test_a_counter_of_usage_is_bounded(valkey: Server) -> None:
    name = "t:u:{7}:1"
    limits = [BURST.capacity, BURST.window_ms, 0]
    valkey.client.eval(SCRIPT, 2, *keys(7, (BURST,)), name, 6, histories.START_MS, 1, *limits, 1439, 1, 6)
    assert valkey.client.strlen(name) == 11_520
