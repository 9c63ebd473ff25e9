"""Profiles of imported push tokens that are gone: who is cleaned up, when, and what becomes of them."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.domain.apply import reduce
from app.domain.commands import STREAM_BULK, CleanUpImport, Request
from app.domain.profile import GLOBAL_CONTROL_GROUP, TEST_USER
from app.domain.times import DAY
from tests.api.harness import Json, Service, Workspace, times_now
from tests.api.jobs import job_worker, jobs_of
from tests.api.reference import equal
from tests.api.sdk import Shop
from tests.domain.builders import profile, state_of
from workers.scheduled import queue
from workers.token_clean_up import SCHEDULED, due_us


@pytest.mark.parametrize(
    ("values", "over"),
    [
        ({}, True),
        ({"custom": {"tier": "gold"}, "country": "IT", "events": {"view": [1, 1, 1]}}, True),
        ({"created_from": "rest"}, False),
        ({"devices": {"tokens": {"t": {"app": "Shop"}}}}, False),
        ({"devices": {"devices": {"Shop/d": {"app": "Shop", "id": "d"}}}}, False),
        ({"external_id": "ada"}, False),
        ({"aliases": {"crm": "1"}}, False),
        ({"email": "a@example.org"}, False),
        ({"phone": "+34600123456"}, False),
        ({"flags": TEST_USER}, False),
        ({"flags": GLOBAL_CONTROL_GROUP}, False),
    ],
    ids=range(11),
)
def test_who_is_cleaned_up(values: dict[str, Any], over: bool) -> None:
    one = profile(1, **{"created_from": "pti"} | values)
    state = state_of(one)
    commands = [CleanUpImport(0, one.braze_id), CleanUpImport(1, "0" * 24)]
    reduce([Request(1, 7, DAY, [*commands])], state, 1, b"s")
    reasons = [problem.reason for problem in state.changes.problems]
    assert reasons == [*([] if over else ["still_known"]), "profile_not_found"]
    assert set(state.profiles) == (set() if over else {1})
    assert state.changes.counts.deleted == over


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("now", "zone", "due"),
    [
        ("2026-11-30T23:00", "UTC", "2026-11-01T05:30"),
        ("2026-11-30T23:00", "Asia/Kolkata", "2026-12-01T00:00"),
        ("2026-12-01T01:00", "America/New_York", "2026-11-01T10:30"),
    ],
    ids=range(3),
)
def test_when(now: str, zone: str, due: str) -> None:
    assert due_us(us(now), ZoneInfo(zone)) == us(due)


def test_the_monthly_clean_up(service: Service, workspace: Workspace) -> None:
    database, shop = service.database, Shop(workspace, "ios")

    def tokens(*names: str) -> list[Json]:
        return [{"app_id": shop.app.id, "token": name} for name in names]

    first = due_us(times_now() + 40 * DAY, ZoneInfo("UTC"))
    assert queue(database, first, SCHEDULED) == 0  # nobody was ever imported
    imported = {"push_token_import": True, "push_tokens": tokens("gone", "kept", "known")}
    workspace.track({"attributes": [imported, {"external_id": "ada"}]})
    people = {
        token: one.braze_id
        for one in workspace.state().profiles.values()
        for token in (one.devices or {}).get("tokens", {})  # type: ignore[attr-defined]
    }
    told = [{"type": "uninstall", "braze_id": people[name]} for name in ("gone", "known")]
    assert workspace.post("/v1/address_events", {"events": told}).counts == {"events": 2}
    workspace.track({"attributes": [{"braze_id": people["known"], "email": "k@example.org"}]})
    assert [queue(database, at, SCHEDULED) for at in (first - 1, first + 5 * DAY, first, first)] == [0, 0, 1, 0]
    rung: list[tuple[int, int]] = []
    with service.draining(workspace.id), job_worker(service, ring=rung.append) as runner:
        assert runner.run_next().state == "done"
    assert rung == [(workspace.id, STREAM_BULK)]
    workspace.drain()
    left = {one.braze_id for one in workspace.state().profiles.values()} & set(people.values())
    assert left == {people["kept"], people["known"]}
    assert [(job["kind"], job["users"], job["progress"]) for job in jobs_of(workspace)] == [("token_clean_up", 1, 3)]
    assert equal(workspace)
