"""Test mode, /v1/test: a workspace begins anew whatever anybody remembers of it, calls go wrong, the clock is set."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.adapters import clock
from app.contract import testing as contract
from app.contract.errors import RefusedError
from app.services import workspace_deletions
from app.store import keys, lane
from app.store.engine import Database
from tests.api.conformity import Conformity
from tests.api.harness import Answer, Json, Service, Workspace, running, stable

TRACKED: Json = {
    "attributes": [{"external_id": "ada", "email": "a@example.org", "tier": "gold"}],
    "events": [{"external_id": "ada", "name": "seen", "time": "2026-11-01T00:00:00Z"}],
    "purchases": [
        {"external_id": "ada", "product_id": "mug", "currency": "USD", "price": 2, "time": "2026-11-01T00:00:00Z"}
    ],
}


@pytest.fixture
def onefold(service: Service, tmp_path: Path) -> Iterator[Service]:
    """A service in test mode."""
    clock.follow(tmp_path / "clock")
    try:
        changes = {"test_mode": True, "key_cache_seconds": 0.0}
        with running(service.settings.model_copy(update=changes)) as found:
            found.conformity = Conformity(found.app.openapi())
            yield found
    finally:
        clock.follow(None)


def ask(workspace: Workspace, method: str, path: str, body: bytes | None = None) -> Answer:
    return workspace.service.send(method, path, body, workspace.headers(), workspace.key)


def now_of(workspace: Workspace) -> Workspace:
    """The workspace under the number that its key has now."""
    identifier = keys.public_id(workspace.key)
    assert identifier is not None
    found = keys.find(workspace.service.database, identifier)
    assert found is not None
    return replace(workspace, id=found.workspace_id, secret=found.workspace_secret)


def reset(workspace: Workspace) -> Workspace:
    assert ask(workspace, "POST", "/v1/test/reset").status == 200
    return now_of(workspace)


def left(database: Database, workspace_id: int) -> int:
    return workspace_deletions.finish(database, workspace_id, clock.now_us)


def test_nothing_of_it_is_served_outside_of_test_mode(workspace: Workspace) -> None:
    for method, path in (("POST", "reset"), ("PUT", "fault"), ("GET", "clock")):
        assert ask(workspace, method, f"/v1/test/{path}").status == 404


def test_a_reset_leaves_what_a_new_workspace_has(onefold: Service) -> None:
    """Twice with the same applier, which remembers names and series, and the same idempotency key."""
    workspace = onefold.workspace("legacy", hourly_limit=5_000)
    other = onefold.workspace("legacy")
    other.track(TRACKED)
    workspace.change(time_zone="Europe/Paris")
    seen, numbers = [], {workspace.id}
    for _ in range(2):
        answer = workspace.track(TRACKED, Idempotency_Key="same")
        assert (answer.status, "Idempotent-Replayed" in answer.headers) == (201, False)
        workspace.post("/v1/events", {"events": [{"name": "seen", "blocked": True}]})
        workspace.post("/v1/subscription_groups", {"name": "News", "channel": "email"})
        state = workspace.state()
        seen.append(([stable(user) for user in workspace.export(external_ids=["ada"])], len(state.profiles)))
        counted = ask(workspace, "GET", "/v1/limits").body
        assert [limit["requests"] for limit in counted["limits"] if limit["name"] == "hourly"] == [5_000]
        before, workspace = workspace, reset(workspace)
        workspace.drain()
        assert workspace.export(external_ids=["ada"]) == []
        assert workspace.state().profiles == {}
        assert ask(workspace, "GET", "/v1/subscription_groups").body["subscription_groups"] == []
        assert ask(workspace, "GET", f"/v1/requests/{answer.request_id}").status == 404
        with onefold.database.read() as connection:
            settings = lane.settings(connection, workspace.id)
        assert (settings.time_zone, settings.blocked_events) == ("Europe/Paris", {})
        numbers |= {before.id, workspace.id}
        assert left(onefold.database, before.id) > 0
    assert seen[0] == seen[1]
    assert len(numbers) == 3
    assert len(other.export(external_ids=["ada"])) == 1


def test_calls_of_a_key_go_wrong(onefold: Service) -> None:
    workspace, other = onefold.workspace("legacy"), onefold.workspace("legacy")
    body = b'{"status": 429, "retry_after_seconds": 7, "times": 2, "paths": ["/users/track"]}'
    put = ask(workspace, "PUT", "/v1/test/fault", body)
    fault = {"latency_ms": 0, "status": 429, "retry_after_seconds": 7, "times": 2, "paths": ["/users/track"]}
    assert (put.status, put.body["fault"]) == (200, fault)
    assert other.track(TRACKED).status == 201
    assert workspace.export(external_ids=["ada"]) == []
    limited = workspace.track(TRACKED)
    assert (limited.status, limited.body) == (429, {"message": "Rate Limited", "limit": "burst"})
    assert (limited.headers["Retry-After"], limited.headers["X-RateLimit-Remaining"]) == ("7", "0")
    assert 5 < int(limited.headers["X-RateLimit-Reset"]) - time.time() <= 8
    assert ask(workspace, "GET", "/v1/test/fault").body["fault"]["times"] == 1
    assert workspace.track(TRACKED).status == 429
    assert ask(workspace, "GET", "/v1/test/fault").body["fault"] is None
    assert workspace.track(TRACKED).status == 201


@pytest.mark.parametrize(
    ("status", "message", "retry_after"),
    [
        (502, "Bad Gateway", None),
        (503, "Service Unavailable", "3"),
        (504, "Gateway Timeout", None),
    ],
)
def test_faults_of_a_server(onefold: Service, status: int, message: str, retry_after: str | None) -> None:
    workspace = onefold.workspace("legacy")
    ask(workspace, "PUT", "/v1/test/fault", b'{"status": %d, "retry_after_seconds": 3}' % status)
    onefold.conformity = Conformity({"paths": {}})  # no document promises these
    for _ in range(2):
        answer = onefold.send("POST", "/users/export/ids", b"{}", workspace.headers(), workspace.key)
        assert (answer.status, answer.message, answer.headers.get("Retry-After")) == (status, message, retry_after)
    ask(workspace, "PUT", "/v1/test/fault", b'{"status": 500}')
    with pytest.raises(AssertionError, match="Internal Server Error"):  # no other test may see a 500
        workspace.track(TRACKED)
    assert ask(workspace, "DELETE", "/v1/test/fault").body["fault"] is None
    assert workspace.export(external_ids=["ada"]) == []


def test_an_answer_comes_later_and_the_call_has_its_effect(onefold: Service) -> None:
    workspace = onefold.workspace("legacy")
    ask(workspace, "PUT", "/v1/test/fault", b'{"latency_ms": 150, "times": 1}')
    began = time.monotonic()
    assert workspace.track(TRACKED).status == 201
    assert time.monotonic() - began >= 0.15
    assert len(workspace.export(external_ids=["ada"])) == 1


def test_the_clock(onefold: Service) -> None:
    workspace = onefold.workspace("legacy")
    put = ask(workspace, "PUT", "/v1/test/clock", b'{"now": "2027-03-01T00:00:00Z", "frozen": true}')
    assert put.body == {"now": "2027-03-01T00:00:00.000Z", "frozen": True, "message": "success"}
    workspace.track(TRACKED)
    (user,) = workspace.export(external_ids=["ada"])
    assert user["created_at"] == "2027-03-01T00:00:00.000Z"
    later = ask(workspace, "PUT", "/v1/test/clock", b'{"advance_seconds": 31536000}')
    assert (later.body["now"], later.body["frozen"]) == ("2028-02-29T00:00:00.000Z", True)
    goes = ask(workspace, "PUT", "/v1/test/clock", b'{"frozen": false}')
    assert goes.body["now"].startswith("2028-02-29T00:00:0")
    assert ask(workspace, "PUT", "/v1/test/clock", b'{"now": "2099-12-31", "advance_seconds": 86400}').status == 400
    ask(workspace, "PUT", "/v1/test/clock", b'{"now": "2099-12-31"}')
    assert ask(workspace, "PUT", "/v1/test/clock", b'{"advance_seconds": 86400}').message == contract.BAD_TIME
    workspace = reset(workspace)
    assert abs(clock.now_us() - time.time_ns() // 1000) < 1_000_000
    workspace.track(TRACKED)
    (user,) = workspace.export(external_ids=["ada"])
    assert user["created_at"] < "2027-03-01"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[]", contract.BAD_BODY),
        ("{}", contract.BAD_BODY),
        ('{"times": 1}', contract.BAD_BODY),
        ('{"status": 500, "more": 1}', contract.BAD_BODY),
        ('{"status": 404}', contract.BAD_STATUS),
        ('{"status": null}', contract.BAD_STATUS),
        ('{"status": "500"}', contract.BAD_STATUS),
        ('{"status": 1e400}', f"{contract.BAD_STATUS}. 'status' has a number out of range."),
        ('{"latency_ms": -1}', contract.BAD_NUMBER % ("latency_ms", 0, 60_000)),
        ('{"latency_ms": true}', contract.BAD_NUMBER % ("latency_ms", 0, 60_000)),
        ('{"status": 500, "times": 0}', contract.BAD_NUMBER % ("times", 1, 1_000_000)),
        ('{"status": 503, "retry_after_seconds": 0}', contract.BAD_NUMBER % ("retry_after_seconds", 1, 86_400)),
        ('{"status": 500, "paths": []}', contract.BAD_PATHS),
        ('{"status": 500, "paths": {"0": "/users/track"}}', contract.BAD_PATHS),
        ('{"status": 500, "paths": ["users/track"]}', contract.BAD_PATHS),
        ('{"status": 500, "paths": [7]}', contract.BAD_PATHS),
    ],
)
def test_faults_that_are_none(body: str, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        contract.read_fault(body.encode())
    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("null", contract.BAD_CLOCK),
        ("{}", contract.BAD_CLOCK),
        ('{"now": "2027-01-01", "advance_seconds": 1}', contract.BAD_CLOCK),
        ('{"at": "2027-01-01"}', contract.BAD_CLOCK),
        ('{"now": 7}', contract.BAD_TIME),
        ('{"now": "soon"}', contract.BAD_TIME),
        ('{"now": "1999-12-31"}', contract.BAD_TIME),
        ('{"now": "2100-01-01"}', contract.BAD_TIME),
        ('{"advance_seconds": -1}', contract.BAD_ADVANCE),
        ('{"advance_seconds": 1e300}', contract.BAD_ADVANCE),
        ('{"advance_seconds": "1"}', contract.BAD_ADVANCE),
        ('{"advance_seconds": true}', contract.BAD_ADVANCE),
        ('{"frozen": 1}', contract.BAD_FROZEN),
        ('{"frozen": null}', contract.BAD_FROZEN),
    ],
)
def test_times_that_are_none(body: str, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        contract.read_clock(body.encode()).at(1_700_000_000_000_000)
    assert (refused.value.status, refused.value.message) == (400, message)
