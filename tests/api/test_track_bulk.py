"""POST /users/track/bulk, and the header that makes /users/track bulk traffic (spec track.md 2 and 8)."""

import json
from typing import Any

import pytest

from app.contract import request_id as ids
from app.domain.commands import STREAM_BULK, STREAM_NORMAL
from tests.api.harness import Workspace

TIME = "2026-02-10T09:15:00Z"
TOO_MANY = "Max Input Length Exceeded"


def attributes(count: int, name: str = "u%d") -> list[dict[str, Any]]:
    return [{"external_id": name % n if "%" in name else name, "n": {"inc": 1}} for n in range(count)]


def events(count: int, **identifier: object) -> list[dict[str, Any]]:
    return [{**identifier, "name": "e", "time": TIME} for _ in range(count)]


def purchases(count: int, name: str) -> list[dict[str, Any]]:
    return [{"external_id": name, "product_id": "p", "currency": "USD", "price": 1, "time": TIME} for _ in range(count)]


def stream(workspace: Workspace, request_id: str) -> int:
    place = ids.read(workspace.secret, workspace.id, request_id)
    assert place is not None
    return place[0]


def test_a_thousand_objects(workspace: Workspace) -> None:
    body = {"attributes": attributes(400), "events": events(100, external_id="u1") + events(500, name="x")}
    body["events"][100:] = [{**event, "external_id": f"v{n}"} for n, event in enumerate(body["events"][100:])]
    answer = workspace.post("/users/track/bulk", body)
    assert (answer.status, answer.counts) == (400, {})  # u1 has an attribute and 100 events
    assert answer.message == TOO_MANY
    del body["events"][0]
    answer = workspace.post("/users/track/bulk", body)
    assert (answer.status, answer.counts) == (201, {"attributes": 400, "events": 599})
    assert stream(workspace, answer.request_id) == STREAM_BULK
    assert len(workspace.state().profiles) == 900
    (user,) = (user for user in workspace.stored() if user["external_id"] == "u1")
    assert user["custom_events"][0]["count"] == 99


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"attributes": attributes(1000)}, 201),
        ({"attributes": attributes(1001)}, 400),
        ({"attributes": attributes(100, "a")}, 201),
        ({"attributes": attributes(101, "a")}, 400),
        (
            {"attributes": attributes(34, "a"), "events": events(33, external_id="a"), "purchases": purchases(33, "a")},
            201,
        ),
        (
            {"attributes": attributes(34, "a"), "events": events(33, external_id="a"), "purchases": purchases(34, "a")},
            400,
        ),
        ({"events": events(101, user_alias={"alias_name": "n", "alias_label": "l"})}, 400),
        ({"events": events(101, email="a@example.org")}, 400),
        ({"events": events(100, email="a@example.org") + events(100, external_id="a")}, 201),  # as sent
    ],
)
def test_limits(workspace: Workspace, body: dict[str, Any], status: int) -> None:
    answer = workspace.post("/users/track/bulk", body)
    assert answer.status == status
    assert answer.message == ("success" if status == 201 else TOO_MANY)


def test_two_megabytes(workspace: Workspace) -> None:
    """Above: 400 and not 413. Below: each value may have 100 KB."""
    filler = [{"external_id": f"u{n}", "k": ["x" * 250] * 390} for n in range(20)]
    body = json.dumps({"attributes": filler}).encode()
    assert len(body) < 2 * 1024 * 1024
    assert workspace.post("/users/track/bulk", body).status == 201
    answer = workspace.post("/users/track/bulk", body + b" " * (2 * 1024 * 1024 - len(body)))
    assert answer.status == 201
    answer = workspace.post("/users/track/bulk", body + b" " * (2 * 1024 * 1024 + 1 - len(body)))
    assert (answer.status, answer.body) == (400, {"message": "Request Entity Too Large"})


def test_errors_and_permission(workspace: Workspace) -> None:
    body = {"attributes": [{"external_id": "a", "email": "nonsense"}, {"external_id": "b"}], "events": [1]}
    answer = workspace.post("/users/track/bulk", body)
    assert (answer.status, answer.errors) == (201, [("attributes", 0), ("events", 0)])
    assert answer.counts == {"attributes": 1, "events": 0}
    for permission, status in (("users.track.sync", 403), ("users.track", 400), ("users.track.bulk", 400)):
        key = workspace.service.key(workspace.id, permission)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        assert workspace.service.send("POST", "/users/track/bulk", b"{}", headers, key).status == status


@pytest.mark.parametrize(("headers", "expected"), [([], STREAM_NORMAL), (["X_Braze_Bulk"], STREAM_BULK)])
def test_header(workspace: Workspace, headers: list[str], expected: int) -> None:
    """Its presence alone counts. Limits and answer are those of /users/track."""
    sent: Any = dict.fromkeys(headers, "false")
    answer = workspace.track({"attributes": attributes(75)}, **sent)
    assert (answer.status, answer.body) == (201, {"attributes_processed": 75, "message": "success"})
    assert stream(workspace, answer.request_id) == expected
    assert workspace.track({"attributes": attributes(76)}, **sent).status == 400


def test_an_export_does_not_wait_for_a_backfill(workspace: Workspace) -> None:
    """It says so instead; and the order of the normal stream does not depend on it."""
    assert workspace.post("/users/track/bulk", {"attributes": attributes(2)}, drain=False).status == 201
    answer = workspace.post("/users/export/ids", {"external_ids": ["u0"]}, drain=False)
    assert (answer.status, answer.body["users"]) == (201, [])
    assert answer.headers["X-Onefold-Stale"] == "true"
    workspace.drain()
    assert workspace.user("u0")["custom_attributes"] == {"n": 1}


def test_an_idempotency_key_stays_in_its_stream(workspace: Workspace) -> None:
    """With the header the path is another endpoint, since each repeat has to find the stream of the first request."""
    sent: Any = {"X_Braze_Bulk": "1"}
    for more, expected in ((sent, STREAM_BULK), ({}, STREAM_NORMAL)):
        first = workspace.track({"attributes": attributes(1)}, Idempotency_Key="k", **more)
        again = workspace.track({"attributes": attributes(1)}, Idempotency_Key="k", **more)
        assert (again.status, again.body, again.request_id) == (201, first.body, first.request_id)
        assert again.headers["Idempotent-Replayed"] == "true"
        assert stream(workspace, again.request_id) == expected
    assert workspace.user("u0")["custom_attributes"] == {"n": 2}
