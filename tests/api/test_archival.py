"""Who is archived, when, and what becomes of them."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.contract.checked import commands_checked
from app.domain.apply import reduce
from app.domain.archival import DORMANT_US, INACTIVE_US
from app.domain.commands import Archive, Request
from app.domain.profile import (
    CHANNEL_EMAIL,
    CHANNEL_PHONE,
    GLOBAL_CONTROL_GROUP,
    HARD_BOUNCED,
    INVALID,
    SPAM_BLOCKED,
    TEST_USER,
    Address,
    AddressState,
)
from app.domain.times import DAY, HOUR
from app.services.workspaces import change
from app.store import workspaces
from app.store.inbox import log as inbox
from tests.api.harness import Service, Workspace, times_now
from tests.api.jobs import job_worker, jobs_of
from tests.api.reference import equal
from tests.domain.builders import profile, state_of
from workers.archival import SCHEDULED, due_us
from workers.scheduled import queue

NOW = 3_000 * DAY
MAIL, NUMBER = (CHANNEL_EMAIL, "a@example.org"), (CHANNEL_PHONE, "+34600123456")
QUIET = NOW - INACTIVE_US - 1
SILENT = NOW - DORMANT_US - 1


def recorded(address: tuple[int, str], topic: str, state: str) -> dict[Address, AddressState]:
    return {(*address, topic): AddressState(state, 1)}


@pytest.mark.parametrize(
    ("values", "addresses", "over"),
    [
        ({"updated_us": QUIET}, {}, True),
        ({"updated_us": QUIET + 1}, {}, False),
        ({"updated_us": QUIET, "last_session_us": NOW - DAY}, {}, False),
        ({"updated_us": QUIET, "messages": {"received": {"email_opened": NOW - DAY}}}, {}, False),
        ({"updated_us": QUIET, "messages": {"received": {"email_opened": QUIET}}}, {}, True),
        ({"updated_us": QUIET, "email": MAIL[1]}, {}, False),
        ({"updated_us": QUIET, "email": MAIL[1]}, recorded(MAIL, "", "opted_in"), False),
        ({"updated_us": QUIET, "email": MAIL[1]}, recorded(MAIL, "", "unsubscribed"), True),
        ({"updated_us": QUIET, "email": MAIL[1]}, recorded(MAIL, HARD_BOUNCED, "marked"), True),
        ({"updated_us": QUIET, "phone": NUMBER[1]}, {}, True),
        ({"updated_us": QUIET, "phone": NUMBER[1]}, recorded(NUMBER, "g", "subscribed"), False),
        ({"updated_us": QUIET, "phone": NUMBER[1]}, recorded(NUMBER, "g", "unsubscribed"), True),
        (
            {"updated_us": QUIET, "phone": NUMBER[1]},
            recorded(NUMBER, "g", "subscribed") | recorded(NUMBER, INVALID, "invalid"),
            True,
        ),
        ({"updated_us": QUIET, "devices": {"tokens": {"t": {}}}}, {}, False),
        ({"updated_us": QUIET, "devices": {"tokens": {"t": {}}}, "push_subscribe": ["unsubscribed", 1]}, {}, True),
        ({"updated_us": SILENT, "email": MAIL[1]}, {}, True),
        ({"updated_us": SILENT + 1, "email": MAIL[1]}, {}, False),
        ({"updated_us": SILENT, "flags": TEST_USER}, {}, False),
        ({"updated_us": SILENT, "flags": GLOBAL_CONTROL_GROUP}, {}, False),
        ({"updated_us": SILENT, "flags": SPAM_BLOCKED}, {}, True),
    ],
    ids=range(20),
)
def test_who_is_archived(values: dict[str, Any], addresses: dict[Address, AddressState], over: bool) -> None:
    one = profile(1, external_id="ada", **values)
    state = state_of(one, addresses=addresses)
    archive = Archive(0, one.braze_id, NOW)
    reduce([Request(1, 7, NOW + HOUR, [archive, Archive(1, "0" * 24, NOW)], "onefold archival")], state, 1, b"s")
    reasons = [problem.reason for problem in state.changes.problems]
    assert reasons == [*([] if over else ["still_active"]), "profile_not_found"]
    assert set(state.profiles) == (set() if over else {1})
    assert state.changes.counts.deleted == over


@pytest.mark.parametrize(
    ("now", "zone", "due"),
    [
        ("2026-11-28T02:00", "UTC", "2026-11-22T05:30"),
        ("2026-11-29T05:29", "UTC", "2026-11-22T05:30"),
        ("2026-11-29T05:30", "UTC", "2026-11-29T05:30"),
        ("2026-11-29T05:30", "America/New_York", "2026-11-22T10:30"),
        ("2026-11-29T10:30", "America/New_York", "2026-11-29T10:30"),
        ("2026-11-29T00:00", "Asia/Kolkata", "2026-11-29T00:00"),
        ("2026-11-28T23:59", "Asia/Kolkata", "2026-11-22T00:00"),
    ],
    ids=range(7),
)
def test_when(now: str, zone: str, due: str) -> None:
    def us(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000

    assert due_us(us(now), ZoneInfo(zone)) == us(due)


def test_the_weekly_archival(service: Service, workspace: Workspace) -> None:
    database = service.database
    workspace.seed(
        [
            {"external_id": "gone", "updated_at": "2020-01-01T00:00:00Z", "email": "gone@example.org"},
            {"external_id": "kept", "updated_at": "2020-01-01T00:00:00Z", "flags": ["test_user"]},
            {"external_id": "back", "updated_at": "2020-01-01T00:00:00Z"},
        ]
    )
    workspace.track({"attributes": [{"external_id": "here"}]})
    name = next(one.name for one in workspaces.listed(database) if one.id == workspace.id)
    week, now = 7 * DAY, times_now()
    assert queue(database, now + week, SCHEDULED) == 0  # it is off
    change(database, name, {"archival": True}, now)
    workspace.drain()
    assert queue(database, now, SCHEDULED) == 0  # not before the next Sunday
    assert (queue(database, now + week, SCHEDULED), queue(database, now + week, SCHEDULED)) == (1, 0)

    with service.draining(workspace.id), job_worker(service, archival_profiles=5) as runner:
        assert runner.run_next().state == "done"
    assert len(workspace.state().profiles) == 4  # it has too few for that
    assert queue(database, now + 2 * week, SCHEDULED) == 1
    workspace.track({"attributes": [{"external_id": "back", "n": 1}]})
    with service.draining(workspace.id), job_worker(service, archival_profiles=4) as runner:
        assert runner.run_next().state == "done"
    workspace.drain()
    assert sorted(user["external_id"] for user in workspace.stored()) == ["back", "here", "kept"]
    assert [(job["kind"], job["users"]) for job in jobs_of(workspace)] == [("archival", 1), ("archival", 0)]
    workspace.track({"attributes": [{"external_id": "gone", "tier": "gold"}]})
    assert workspace.user("gone")["custom_attributes"] == {"tier": "gold"}  # somebody new
    change(database, name, {"archival": False}, now)
    assert queue(database, now + 9 * week, SCHEDULED) == 0


def test_a_redo_makes_the_same(service: Service, workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "ada", "email": "ada@example.org"}, {"external_id": "bob"}]})
    later = times_now() + DORMANT_US + DAY
    people = {one.external_id: one.braze_id for one in workspace.state().profiles.values()}
    checked = commands_checked([Archive(0, people["ada"], later), Archive(1, people["bob"], times_now())])
    with service.database.write(service.database.inbox) as connection:
        inbox.append(connection, workspace.id, 1, [inbox.Entry(checked.kind, checked.codec, checked.body)], times_now())
    workspace.drain()
    assert [user["external_id"] for user in workspace.stored()] == ["bob"]
    assert equal(workspace)
