"""Work that is done again and again asks the database as often for many quiet workspaces as for few."""

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from app.adapters.doorbell import Doorbell
from app.adapters.metrics import Metrics
from app.store import past, workspaces
from app.store.engine import Database
from app.store.retained import Keeping
from tests.applying import applier
from tests.stores import NOW_US, workspace
from workers import archival, merge_schedule, rates, scheduled, segments, token_clean_up, values
from workers.jobs.upkeep import Upkeep
from workers.retention import Retention, UsageKept
from workers.sweep import Sweeper
from workers.watches import SegmentWatch
from workers.webhook_events import EventTeller
from workers.workspaces import WorkspaceDeleter


class Silent(Doorbell):
    """A doorbell without a broker: nothing is to be rung for here."""

    def __init__(self) -> None:
        """Connect to nobody."""

    def has_jobs_sent(self) -> bool:
        """Nobody asks in vain."""
        return True


def _retention(database: Database) -> None:
    bounds = past.Bounds(10, 10_000)
    keeping = Keeping(10, 1, 1)
    Retention(database, lambda: NOW_US, 72, 10**9, lambda _dropped: None, bounds, keeping, UsageKept(24, 10)).work(
        NOW_US
    )


WORK: dict[str, Callable[[Database], Any]] = {
    "sweep": lambda database: Sweeper(database, applier(database), Silent(), 1.0, Metrics()).look(),
    "others wait": lambda database: applier(database)._others_wait(0),
    "retention": _retention,
    "sizes of segments": lambda database: segments.record(database, NOW_US),
    "archival": lambda database: scheduled.queue(database, NOW_US, archival.SCHEDULED),
    "token clean-up": lambda database: scheduled.queue(
        database, token_clean_up.due_us(NOW_US, ZoneInfo("UTC")), token_clean_up.SCHEDULED
    ),
    "rates": lambda database: rates.announce(database, 0, NOW_US),
    "merge schedule": lambda database: merge_schedule.look(database, NOW_US, 10),
    "values": lambda database: values.tick(database, NOW_US),
    "jobs": lambda database: Upkeep(database, Silent(), lambda: NOW_US).look(),
    "webhook events": lambda database: EventTeller(database, lambda: NOW_US, lambda _w: b"").tell(),
    "webhook segments": lambda database: SegmentWatch(database, lambda: NOW_US, lambda _w: b"", 10).tick(),
    "deletions": lambda database: WorkspaceDeleter(database, lambda _w: 0, lambda: NOW_US).look(),
}


def statements(database: Database, work: Callable[[Database], Any]) -> int:
    count = 0

    def note(*_: Any) -> None:
        nonlocal count
        count += 1

    engines = {id(engine): engine for engine in (database.main, database.inbox)}.values()
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        work(database)
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
    return count


@pytest.mark.parametrize("what", WORK)
def test_quiet_workspaces_cost_no_statement(database: Database, what: str) -> None:
    for n in range(3):
        workspace(database, f"few {n}")
    WORK[what](database)  # what is made once is made
    few = statements(database, WORK[what])
    for n in range(20):
        workspace(database, f"many {n}")
    assert statements(database, WORK[what]) == few


def test_a_newer_table_comes_to_some_workspaces_at_a_time(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "AT_ONCE", 3)
    for n in range(10):
        workspace(database, f"tenant {n}")
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) == 2

    there = len(workspaces.listed(database))
    assert rates.announce(database, 30_000, NOW_US, pause) == 6
    assert pauses == [rates.PAUSE_S, rates.PAUSE_S]
    assert rates.announce(database, 30_000, NOW_US) == there
