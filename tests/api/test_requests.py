"""GET /v1/requests/{id}: what became of an accepted request."""

import time
import uuid
from typing import Final

import pytest

from app.contract import kinds, request_id
from app.domain import times
from app.store.inbox import log as inbox
from app.store.inbox.log import Entry
from tests.api.harness import Service, Workspace, lane_cursor, times_now

GOOD: Final = {"attributes": [{"external_id": "r", "n": {"inc": 1}}]}
UNKNOWN: Final = {"message": "Unknown request id"}


def test_queued_then_applied(workspace: Workspace) -> None:
    before = times_now()
    accepted = workspace.track(GOOD, drain=False)
    queued = workspace.status(accepted.request_id)
    assert queued.status == 200
    accepted_at = queued.body.pop("accepted_at")
    assert queued.body == {"id": accepted.request_id, "status": "queued", "skipped": [], "message": "success"}
    moment = times.parse(accepted_at)
    assert moment is not None
    assert before - 1000 <= moment <= times_now()
    workspace.drain()
    applied = workspace.status(accepted.request_id)
    assert applied.body == {
        "id": accepted.request_id,
        "status": "applied",
        "accepted_at": accepted_at,
        "skipped": [],
        "message": "success",
    }


def test_skipped(workspace: Workspace) -> None:
    """Every silent skip has its array, its index as submitted, its field and its reason; no value of the client."""
    alias = {"alias_name": "nobody", "alias_label": "l"}
    accepted = workspace.track(
        {
            "attributes": [
                {"no identifier": 1},
                {"external_id": "r", "secret": "v" * 300, "dob": "secret", "$x": 1, "kept": 1},
                {"user_alias": alias, "kept": 1},
                {"braze_id": "secret-id"},
            ],
            "events": [{"user_alias": alias, "name": "e", "time": "2026-01-01"}],
            "purchases": [
                {"external_id": "r", "product_id": "p", "currency": "EUR", "price": 1, "time": "2026-01-01"},
                {"external_id": "r", "_update_existing_only": True, "product_id": "p", "currency": "USD", "price": 1,
                 "time": "2026-01-01", "properties": {"big": 1e300}},
            ],
        }
    )  # fmt: skip
    assert accepted.errors == [("attributes", 0)]
    assert accepted.counts == {"attributes": 3, "events": 1, "purchases": 2}
    assert workspace.skipped(accepted.request_id) == [
        ("attributes", 1, "dob", "invalid_value"),
        ("attributes", 1, "secret", "value_too_long"),
        ("attributes", 1, "$x", "invalid_name"),
        ("attributes", 2, "", "profile_not_found"),
        ("attributes", 3, "", "profile_not_found"),
        ("events", 0, "", "profile_not_found"),
        ("purchases", 0, "price", "no_usd_rate"),
        ("purchases", 1, "big", "value_out_of_range"),
    ]
    status = workspace.status(accepted.request_id)
    assert all("field" in entry or entry["reason"] == "profile_not_found" for entry in status.body["skipped"])
    assert "vvv" not in status.text
    assert "secret-id" not in status.text


def test_more_skips_than_are_kept(workspace: Workspace) -> None:
    body = {"attributes": [{"external_id": "r", **{f"$k{n}": 1 for n in range(50)}} for _ in range(5)]}
    accepted = workspace.track(body)
    skipped = workspace.skipped(accepted.request_id)
    assert len(skipped) == 200
    assert skipped[-1][2:] == ("", "further_problems_omitted")
    assert [user["external_id"] for user in workspace.stored()] == ["r"]


def test_dead(workspace: Workspace) -> None:
    """A request that cannot be applied is put aside, says so, and its neighbours are applied."""
    first = workspace.track(GOOD, drain=False)
    database = workspace.service.database
    with database.write(database.inbox) as connection:
        (place,) = inbox.append(connection, workspace.id, 0, [Entry(kinds.TRACK, 99, b"{")], times_now())
    last = workspace.track(GOOD, drain=False)
    summary = workspace.service.drain(workspace.id)
    assert (summary.requests, summary.dead) == (2, 1)
    dead = request_id.make(workspace.secret, workspace.id, 0, place.seq)
    answer = workspace.status(dead)
    assert answer.status == 200
    assert (answer.body["status"], answer.body["reason"]) == ("dead", "DecodeError")
    assert answer.body["skipped"] == []
    for request in (first, last):
        assert workspace.status(request.request_id).body["status"] == "applied"
    assert workspace.user("r")["custom_attributes"] == {"n": 2}
    assert lane_cursor(workspace.service, workspace.id) == place.seq + 1


def not_ids(workspace: Workspace) -> dict[str, str]:
    accepted = workspace.track(GOOD).request_id
    value = uuid.UUID(accepted).int
    tagged = request_id.make(workspace.secret, workspace.id, 0, 2**47)
    return {
        "no id": "x",
        "empty id": "%20",
        "random": str(uuid.uuid4()),
        "of an answer that accepted nothing": workspace.track({}).request_id,
        "a number later": str(uuid.UUID(int=value + (1 << 80))),
        "other stream": str(uuid.UUID(int=value ^ (1 << 64))),
        "other tag": str(uuid.UUID(int=value ^ 1)),
        "other version": str(uuid.UUID(int=value ^ (1 << 76))),
        "ours, not given yet": request_id.make(workspace.secret, workspace.id, 0, 2),
        "ours, far away": tagged,
        "ours, number 0": request_id.make(workspace.secret, workspace.id, 0, 0),
        "ours, other stream": request_id.make(workspace.secret, workspace.id, 1, 1),
        "long": "0" * 10_000,
        "SQL": "'%20or%201=1",
        "not ASCII": "%F0%9F%94%91",
        "NUL": "%00",
    }


@pytest.mark.parametrize("wait", [None, "0.01"])
def test_unknown(workspace: Workspace, wait: str | None) -> None:
    for name, text in not_ids(workspace).items():
        answer = workspace.status(text, wait)
        assert (name, answer.status, answer.body) == (name, 404, UNKNOWN)


def test_other_workspace(service: Service) -> None:
    ours, theirs = service.workspace(), service.workspace()
    accepted = ours.track(GOOD)
    assert ours.status(accepted.request_id).status == 200
    theirs.track(GOOD)
    answer = theirs.status(accepted.request_id)
    assert (answer.status, answer.body) == (404, UNKNOWN)


@pytest.mark.parametrize("spelling", [str.upper, lambda text: text.replace("-", ""), lambda text: f"{{{text}}}"])
def test_spellings_of_an_id(workspace: Workspace, spelling: object) -> None:
    """Other spellings of the same UUID may be understood or not; they never name another request."""
    accepted = workspace.track(GOOD)
    assert callable(spelling)
    assert workspace.status(spelling(accepted.request_id)).status in (200, 404)


def test_any_key_of_the_workspace_may_ask(workspace: Workspace) -> None:
    accepted = workspace.track(GOOD)
    for permissions in ([], ["users.identify"]):
        key = workspace.service.key(workspace.id, *permissions)
        assert workspace.status(accepted.request_id, key=key).status == 200


def test_wait_until_applied(workspace: Workspace) -> None:
    accepted = workspace.track(GOOD, drain=False)
    with workspace.service.draining(workspace.id):
        answer = workspace.status(accepted.request_id, "30")
    assert answer.body["status"] == "applied"


def test_wait_in_vain(workspace: Workspace) -> None:
    accepted = workspace.track(GOOD, drain=False)
    began = time.monotonic()
    answer = workspace.status(accepted.request_id, "0.3")
    assert answer.body["status"] == "queued"
    assert 0.3 <= time.monotonic() - began < 3


@pytest.mark.parametrize("wait", ["-1", "x", "nan", "inf", "", "3601", "1e999", "%00", "0x1"])
def test_wait_that_is_none(workspace: Workspace, wait: str) -> None:
    accepted = workspace.track(GOOD)
    answer = workspace.status(accepted.request_id, wait)
    assert (answer.status, answer.message) == (400, "'wait' must be a number of seconds")


def test_an_export_sees_what_was_accepted_before_it(workspace: Workspace) -> None:
    """It waits for the applier; when the applier does not come, it says that it may be stale."""
    workspace.track(GOOD)
    workspace.track(GOOD, drain=False)
    stale = workspace.post("/users/export/ids", {"external_ids": ["r"]}, drain=False)
    assert stale.headers["X-Onefold-Stale"] == "true"
    assert stale.body["users"][0]["custom_attributes"] == {"n": 1}
    with workspace.service.draining(workspace.id):
        for n in range(3, 13):
            workspace.track(GOOD, drain=False)
            assert workspace.user("r")["custom_attributes"] == {"n": n}
