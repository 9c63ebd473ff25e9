"""The process's own buckets: the share, and the bound on memory."""

from app.quota.bucket import Bucket
from app.quota.local import LocalBuckets, share_of

BURST = Bucket("burst", 4, 1_000)
HOURLY = Bucket("hourly", 10, 3_600_000)


def test_share_is_rounded_down_and_at_least_one() -> None:
    buckets = (Bucket("a", 5, 1_000), Bucket("b", 1, 1_000), Bucket("c", 10, 3_600_000, 3_600_000))
    assert share_of(buckets, 0.5) == (
        Bucket("a", 2, 1_000),
        Bucket("b", 1, 1_000),
        Bucket("c", 5, 3_600_000, 3_600_000),
    )


def test_workspaces_do_not_share() -> None:
    local = LocalBuckets()
    assert [grant.granted for grant in local.take(1, (BURST,), 5, 0)] == [1, 1, 1, 1, 0]
    assert [grant.remaining for grant in local.take(2, (BURST,), 2, 0)] == [3, 2]
    assert [grant.granted for grant in local.take(1, (BURST,), 1, 0)] == [0]


def test_a_bucket_is_shared_by_every_set_it_is_in() -> None:
    local = LocalBuckets()
    local.take(1, (BURST, HOURLY), 4, 0)
    assert [grant.name for grant in local.take(1, (BURST,), 1, 0)] == ["burst"]
    assert [grant.remaining for grant in local.take(1, (HOURLY,), 1, 0)] == [5]


def test_full_buckets_are_forgotten_first() -> None:
    local = LocalBuckets(max_levels=10)
    local.take(0, (HOURLY,), 10, 0)
    for workspace_id in range(1, 1_000):
        # a burst bucket is full again a second later, the hourly one of workspace 0 is not
        local.take(workspace_id, (BURST,), 4, workspace_id * 300)
        assert len(local) <= 10
    assert [grant.granted for grant in local.take(0, (HOURLY,), 1, 300_000)] == [0]


def test_memory_is_bounded_even_when_nothing_is_full() -> None:
    local = LocalBuckets(max_levels=10)
    for workspace_id in range(1_000):
        local.take(workspace_id, (HOURLY,), 1, 0)
        assert len(local) <= 10
    assert [grant.remaining for grant in local.take(999, (HOURLY,), 1, 0)] == [8]


def test_what_is_spent_is_taken_and_memory_is_bounded_then_too() -> None:
    local = LocalBuckets(max_levels=10)
    assert [local.spend(1, BURST, 0) for _ in range(4)] == [None] * 4
    assert local.spend(1, BURST, 0) == local.take(1, (BURST,), 1, 0)[0]
    for owner in range(1_000):
        assert local.spend(owner + 2, HOURLY, 0) is None
        assert len(local) <= 10
