"""The schedule of merge rules: one run on each day of the workspace, whoever looks and whenever."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from app.contract import stored
from app.domain.merging.match import MergeRule
from app.domain.profile import EMAIL, PHONE
from app.store import jobs, lane, merge_runs
from app.store.engine import Database
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from app.store.merge_runs import Setup
from tests.applying import applier
from tests.stores import NOW_US, workspace
from workers import merge_schedule

RULES = (MergeRule(EMAIL), MergeRule(PHONE, "created_at", "oldest"))
MOST = 1_000


def us(text: str) -> int:
    """Of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def set_zone(database: Database, one: int, zone: str) -> None:
    checked = stored.settings_change({"time_zone": zone})
    with database.write(database.inbox) as connection:
        inbox.append(connection, one, 0, [Entry(checked.kind, checked.codec, checked.body)], NOW_US)
    applier(database).drain(one)
    with database.read() as connection:
        found = lane.read(connection, one)
    assert found is not None
    assert found.settings.time_zone == zone


def schedule(database: Database, one: int, since: str | None) -> None:
    with database.write() as connection:
        merge_runs.change(connection, one, Setup(RULES, None if since is None else us(since)))


def finish(database: Database) -> None:
    """End every job."""
    while (job := jobs.claim(database, "me", NOW_US)) is not None:
        with database.write() as connection:
            assert jobs.finish(connection, job, NOW_US)


def days(database: Database, one: int) -> list[int | None]:
    """Of the runs, the oldest first; as days of November 2026."""
    with database.read() as connection:
        runs = merge_runs.page(connection, one, (2**62, ""), 1_000)
    first = datetime(2026, 10, 31, tzinfo=UTC).toordinal() - datetime(1970, 1, 1, tzinfo=UTC).toordinal()
    return [None if run.day is None else run.day - first for run in runs[::-1]]


LOOKS: list[tuple[str, str, list[tuple[str, int]]]] = [
    # (time zone, since when, [(look in UTC, runs that it starts)])
    ("UTC", "2026-11-20T10:00", [("2026-11-20T23:59", 0), ("2026-11-21T00:00", 1), ("2026-11-21T23:59", 0)]),
    ("UTC", "2026-11-20T10:00", [("2026-11-21T09:00", 1), ("2026-11-22T00:00", 1), ("2026-11-25T00:00", 1)]),
    # Its own midnight, also of half an hour.
    ("Asia/Kolkata", "2026-11-20T10:00", [("2026-11-20T18:29", 0), ("2026-11-20T18:30", 1), ("2026-11-21T00:00", 0)]),
    ("America/Los_Angeles", "2026-11-20T10:00", [("2026-11-21T07:59", 0), ("2026-11-21T08:00", 1)]),
    # Half past midnight comes twice, and then not at all.
    ("America/Havana", "2026-10-30T12:00", [("2026-11-01T04:30", 1), ("2026-11-01T05:30", 0), ("2026-11-02T05:00", 1)]),
]


@pytest.mark.parametrize(("zone", "since", "looks"), LOOKS)
def test_looks(database: Database, zone: str, since: str, looks: list[tuple[str, int]]) -> None:
    one = workspace(database)
    set_zone(database, one, zone)
    schedule(database, one, since)
    for at, started in looks:
        assert merge_schedule.look(database, us(at), MOST) == started, at
        finish(database)
    with database.read() as connection:
        (run, *_) = merge_runs.page(connection, one, (2**62, ""), 1)
        job = jobs.get(connection, one, run.id)
    assert merge_runs.rules_of(run) == RULES
    assert job is not None
    assert (job.kind, job.created_by) == ("merge_run", "schedule")


def test_two_sweepers(database: Database) -> None:
    """They look at the same moment, again and again."""
    one = workspace(database)
    schedule(database, one, "2026-11-20T10:00")
    started: list[int] = []
    for day in range(21, 27):
        barrier = threading.Barrier(3)

        def look(at: str = f"2026-11-{day}T00:00:10", barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            started.append(merge_schedule.look(database, us(at), MOST))

        threads = [threading.Thread(target=look) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        finish(database)
    assert sum(started) == 6
    assert days(database, one) == [21, 22, 23, 24, 25, 26]


def test_it_waits_for_a_run_of_somebody(database: Database) -> None:
    one = workspace(database)
    schedule(database, one, "2026-11-20T10:00")
    with database.write() as connection:
        merge_runs.start(connection, one, "r", RULES, "backend", us("2026-11-20T23:00"))
    assert merge_schedule.look(database, us("2026-11-21T00:00"), MOST) == 0
    finish(database)
    assert merge_schedule.look(database, us("2026-11-21T00:05"), MOST) == 1
    assert days(database, one) == [None, 21]


def test_a_zone_that_goes_back_repeats_no_day(database: Database) -> None:
    one = workspace(database)
    set_zone(database, one, "Pacific/Auckland")
    schedule(database, one, "2026-11-19T00:00")
    assert merge_schedule.look(database, us("2026-11-20T12:00"), MOST) == 1  # the 21st there
    finish(database)
    set_zone(database, one, "UTC")
    assert merge_schedule.look(database, us("2026-11-20T12:00"), MOST) == 0
    assert merge_schedule.look(database, us("2026-11-21T12:00"), MOST) == 0
    assert merge_schedule.look(database, us("2026-11-22T00:00"), MOST) == 1
    assert days(database, one) == [21, 22]


@pytest.mark.parametrize("how", ["off", "never", "disabled"])
def test_without_a_schedule(database: Database, how: str) -> None:
    one = workspace(database)
    if how != "never":
        schedule(database, one, None if how == "off" else "2026-11-20T10:00")
    if how == "disabled":
        with database.write() as connection:
            connection.exec_driver_sql("update workspace set disabled = true")
    assert merge_schedule.look(database, us("2026-11-23T00:00"), MOST) == 0


def test_a_bound_of_runs(database: Database) -> None:
    one = workspace(database)
    schedule(database, one, "2026-11-01T10:00")
    for day in range(10, 17):
        merge_schedule.look(database, us(f"2026-11-{day}T01:00"), 3)
        finish(database)
    merge_schedule.look(database, us("2026-11-16T02:00"), 3)
    assert days(database, one) == [14, 15, 16]
    with database.read() as connection:
        rows: list[Any] = connection.exec_driver_sql("select id from job").scalars().all()  # type: ignore[assignment]
    assert len(rows) == 3
