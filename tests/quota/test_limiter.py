"""The limiter against a real server: who shares a call, whose clock counts, and what callers may do wrong."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.quota.bucket import Bucket
from app.quota.limiter import UNLIMITED, Limiter
from app.quota.local import LocalBuckets
from app.quota.usage import DAY_MS as DAY
from tests.quota.desk import BURST, HOUR, HOURLY, NOWHERE, TEN, burst, desk, run, turns_until
from tests.quota.server import Server


def test_simultaneous_takes_are_one_call(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(2, TEN)  # connects and loads the script
            valkey.client.config_resetstat()
            grants = await burst(d.limiter, 64, (BURST, HOURLY))
            assert [grant.granted for grant in grants] == [1] * 50 + [0] * 14
            assert [grant.remaining for grant in grants] == [*range(49, -1, -1), *[0] * 14]
            assert {grant.name for grant in grants} == {"burst"}
            assert {grant.retry_after_ms for grant in grants[:50]} == {0}
            assert {grant.retry_after_ms for grant in grants[50:]} == {HOUR // 50}
            assert valkey.calls("evalsha") == 1
            # the refused took nothing from the other bucket either
            assert (await d.limiter.take(1, (HOURLY,))).remaining == 949
            assert d.limiter.degraded == 0

    run(scenario())


def test_one_call_for_each_workspace_and_set(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            valkey.client.config_resetstat()
            groups = await asyncio.gather(
                burst(d.limiter, 3, TEN, 1), burst(d.limiter, 4, TEN, 2), burst(d.limiter, 2, (HOURLY,), 1)
            )
            assert [[grant.remaining for grant in grants] for grants in groups] == [[9, 8, 7], [9, 8, 7, 6], [999, 998]]
            assert valkey.calls("evalsha") == 3

    run(scenario())


def test_arrivals_during_a_flight_share_the_next(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            valkey.client.config_resetstat()
            first = asyncio.create_task(d.limiter.take(1, TEN))
            await turns_until(lambda: bool(d.limiter._flight) and not d.limiter._pending)
            assert not first.done()
            later = await burst(d.limiter, 5)
            assert [(await first).remaining, *(grant.remaining for grant in later)] == [9, 8, 7, 6, 5, 4]
            assert valkey.calls("evalsha") == 2

    run(scenario())


def test_time_is_the_servers(valkey: Server) -> None:
    """An application clock, here standing at 0, plays no part."""

    async def scenario() -> None:
        async with desk(valkey.url) as d:
            seconds = int(valkey.client.time()[0])
            grant = await d.limiter.take(1, TEN)
            assert seconds * 1000 + HOUR // 10 <= grant.reset_ms < (seconds + 10) * 1000 + HOUR // 10

    run(scenario())


def test_scripts_flushed(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            assert [grant.remaining for grant in await burst(d.limiter, 2)] == [9, 8]
            for expected in ([7, 6], [5, 4]):
                valkey.client.script_flush()
                assert [grant.remaining for grant in await burst(d.limiter, 2)] == expected
            assert (d.limiter.degraded, d.transitions) == (0, [])

    run(scenario())


def test_scripts_flushed_in_flight(valkey: Server) -> None:
    """Who was refused goes first again, those of its group behind it, and nobody twice."""

    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)
            valkey.client.script_flush()
            first = asyncio.gather(*(d.limiter.take(1, TEN) for _ in range(3)))
            await turns_until(lambda: bool(d.limiter._flight))
            later = await asyncio.gather(burst(d.limiter, 2), burst(d.limiter, 2, TEN, 2))
            assert [grant.remaining for grant in await first] == [9, 8, 7]
            assert [[grant.remaining for grant in grants] for grants in later] == [[6, 5], [9, 8]]
            assert (d.limiter.degraded, d.transitions) == (0, [])

    run(scenario())


def test_over_a_connection_that_is_there_no_task_is_made(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            await d.limiter.take(9, TEN)  # which has made the connection
            tasks = asyncio.all_tasks()
            for count in (1, 5):
                waiting = [asyncio.ensure_future(d.limiter.take(1, TEN)) for _ in range(count)]
                await turns_until(lambda: bool(d.limiter._flight))
                assert asyncio.all_tasks() == tasks | set(waiting)
                await asyncio.gather(*waiting)
            assert d.limiter.round_trips == 3
            assert (d.limiter._flies, d.limiter._flight, d.limiter._runner) == (False, {}, None)

    run(scenario())


def test_a_cancelled_caller_spends_its_token_and_harms_nobody(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:
            callers = [asyncio.create_task(d.limiter.take(1, TEN)) for _ in range(3)]
            await turns_until(lambda: bool(d.limiter._pending))
            callers[1].cancel()
            results = await asyncio.gather(*callers, return_exceptions=True)
            assert [getattr(result, "remaining", None) for result in results] == [9, None, 7]
            alone = asyncio.create_task(d.limiter.take(1, TEN))
            await turns_until(lambda: bool(d.limiter._pending))
            alone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await alone
            assert (await d.limiter.take(1, TEN)).remaining == 5
            assert d.limiter.degraded == 0

    run(scenario())


def test_no_bucket_is_no_limit_and_no_call() -> None:
    async def scenario() -> None:
        async with desk(NOWHERE) as d:
            assert await d.limiter.take(1, ()) == UNLIMITED
            assert (UNLIMITED.granted, UNLIMITED.limit) == (1, 0)
            assert (d.limiter.degraded, d.transitions) == (0, [])

    run(scenario())


def test_wrong_use_is_refused() -> None:
    async def scenario() -> None:
        async with desk(NOWHERE) as d:
            with pytest.raises(ValueError, match="twice"):
                await d.limiter.take(1, (BURST, Bucket("burst", 1, 1)))

    run(scenario())
    for prefix, share in (("{t}", 0.5), ("t", 1.5)):
        with pytest.raises(ValueError, match="must"):
            Limiter(NOWHERE, prefix, now_ms=lambda: 0, on_transition=lambda down: None, local_share=share)


def test_tcp(tcp_valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(tcp_valkey.url) as d:
            assert [grant.remaining for grant in await burst(d.limiter, 3)] == [9, 8, 7]
            assert d.limiter.degraded == 0

    run(scenario())


@pytest.mark.parametrize("turns", [0, 1, 3], ids=["before the runner began", "as it began", "in flight"])
def test_close_answers_those_who_wait(mortal_valkey: Server, turns: int) -> None:
    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await d.limiter.take(9, TEN)
            mortal_valkey.pause()
            waiting = asyncio.gather(*(d.limiter.take(1, TEN) for _ in range(6)))
            await turns_until(lambda: bool(d.limiter._pending))
            for _ in range(turns):
                await asyncio.sleep(0)
            await d.limiter.aclose()
            assert [grant.granted for grant in await waiting] == [1] * 5 + [0]
            assert [grant.granted for grant in await burst(d.limiter, 1)] == [0]
            assert (d.limiter.degraded, d.transitions) == (7, [])

    run(scenario())


def test_limits_that_change_all_the_time_do_not_pile_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with desk(f"unix://{tmp_path}/none") as d:
            for capacity in range(1, 2_500):
                await d.limiter.take(1, (Bucket("b", capacity, 1_000),))
            assert len(d.limiter._shapes) <= 1_000

    run(scenario())


def test_a_process_with_a_wrong_clock_shares_the_bucket_all_the_same(valkey: Server) -> None:
    """The time is the server's: a clock of the application that is an hour ahead mints nothing."""

    async def scenario() -> None:
        async with desk(valkey.url) as right, desk(valkey.url) as ahead:
            ahead.now[0] = HOUR
            assert sum(grant.granted for grant in await burst(right.limiter, 10)) == 10
            assert sum(grant.granted for grant in await burst(ahead.limiter, 10)) == 0
            assert sum(grant.granted for grant in await burst(right.limiter, 10)) == 0

    run(scenario())


def test_companies_share_and_workspaces_do_not(valkey: Server) -> None:
    own, shared = Bucket("burst", 4, HOUR), Bucket("company-burst", 6, HOUR, company=True)

    async def scenario() -> None:
        async with desk(valkey.url) as d:

            async def takes(workspace_id: int, company_id: int | None, count: int) -> list[tuple[int, str]]:
                buckets = (own, shared) if company_id is not None else (own,)
                calls = (d.limiter.take(workspace_id, buckets, company_id) for _ in range(count))
                return [(grant.granted, grant.name) for grant in await asyncio.gather(*calls)]

            assert [granted for granted, _ in await takes(1, 9, 5)] == [1, 1, 1, 1, 0]
            assert [granted for granted, _ in await takes(2, 9, 3)] == [1, 1, 0]
            assert (await takes(2, 9, 1)) == [(0, "company-burst")]
            assert [granted for granted, _ in await takes(3, 8, 2)] == [1, 1]
            assert [granted for granted, _ in await takes(1, None, 2)] == [1, 1]  # without a company it starts anew
            # One slot for all keys of a call.
            slots = {key.split("{")[1].split("}")[0] for key in valkey.client.scan_iter("t:q:*")}
            assert slots == {"c9", "c8", "1"}
            left = await d.limiter.peek(2, (own, shared), 9)
            assert left is not None
            assert [(grant.name, grant.remaining) for grant in left] == [("burst", 2), ("company-burst", 0)]
            again = await d.limiter.peek(2, (own, shared), 9)
            assert [grant.remaining for grant in again or ()] == [2, 0]

    run(scenario())


def test_usage_by_minute(valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(valkey.url) as d:

            async def count(counter: str, times: int) -> None:
                await asyncio.gather(*(d.limiter.take(1, TEN, None, counter) for _ in range(times)))

            d.now[0] = 10 * DAY + 90_000  # 00:01:30
            await count("k:a", 7)
            await count("k:b", 5)
            await count("", 3)
            d.now[0] += DAY - 60_000  # the next day, 00:00:30
            await count("k:a", 2)
            wanted = ("k:a", "k:b", "k:c")
            assert await d.limiter.usage(1, wanted) == {
                "k:a": [(10 * 1440 + 1, 7, 0), (11 * 1440, 0, 2)],
                "k:b": [(10 * 1440 + 1, 3, 2)],
                "k:c": [],
            }
            d.now[0] += 120_000  # 00:02:30: a day after it, the first minute is over
            assert await d.limiter.usage(1, ("k:a",)) == {"k:a": [(11 * 1440, 0, 2)]}
            assert await d.limiter.usage(2, ("k:a",)) == {"k:a": []}

    run(scenario())


def test_usage_and_peeks_while_the_server_is_away_and_after_a_restart(mortal_valkey: Server) -> None:
    async def scenario() -> None:
        async with desk(mortal_valkey.url) as d:
            await d.limiter.take(1, TEN, None, "k:a")
            mortal_valkey.kill()
            assert await d.limiter.usage(1, ("k:a",)) is None
            assert await d.limiter.peek(1, TEN) is None
            assert (d.transitions, d.limiter.down) == ([], False)  # nobody was counted, so nobody is counted locally
            assert (await d.limiter.take(1, TEN)).granted == 1
            assert d.limiter.down
            assert await d.limiter.usage(1, ("k:a",)) is None
            assert (d.limiter.admitted, d.limiter.refused, d.limiter.degraded) == (2, 0, 1)

    run(scenario())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from([None, 9]), st.integers(1, 4)), min_size=1, max_size=30),
    st.integers(1, 5),
)
def test_nothing_that_others_do_changes_an_answer(calls: list[tuple[int, int | None, int]], capacity: int) -> None:
    """Locally, where everything is deterministic: workspace 1, which has no company, alone and among others."""
    bucket = Bucket("burst", capacity, HOUR)
    mine = [count for workspace_id, company_id, count in calls if (workspace_id, company_id) == (1, None)]
    alone, among = LocalBuckets(), LocalBuckets()
    expected = [alone.take(1, (bucket,), count, 0) for count in mine]
    found = []
    for workspace_id, company_id, count in calls:
        buckets = (bucket,) if company_id is None else (bucket, Bucket("company-burst", 3, HOUR, company=True))
        owner = workspace_id if company_id is None else workspace_id + 100
        grants = among.take(owner, buckets, count, 0, company_id)
        if (workspace_id, company_id) == (1, None):
            found.append(grants)
    assert found == expected
