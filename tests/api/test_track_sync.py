"""POST /users/track/sync: the answer is what the one object led to (spec track.md 7)."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import Workspace, running, settings_for
from tests.servers import ValkeyServer

TIME = "2026-02-10T09:15:00Z"
SHOWN = "2026-02-10T09:15:00.000Z"
ALIAS = {"alias_name": "n", "alias_label": "l"}


def attributes(**fields: object) -> dict[str, Any]:
    return {"attributes": [fields]}


def event(**fields: object) -> dict[str, Any]:
    return {"events": [{"name": "e", "time": TIME, **fields}]}


def purchase(**fields: object) -> dict[str, Any]:
    return {"purchases": [{"product_id": "p", "currency": "USD", "price": 1, "time": TIME, **fields}]}


@pytest.mark.parametrize(
    ("before", "body", "users"),
    [
        ({}, attributes(external_id="a", tier="gold"), [{"external_id": "a", "custom_attributes": {"tier": "gold"}}]),
        (
            attributes(external_id="a", level=7, other=1, gone=1, list=[1, 2]),
            attributes(external_id="a", level={"inc": 1}, gone=None, list={"add": [1]}, first_name="A"),
            [{"external_id": "a", "custom_attributes": {"level": 8, "list": [2, 1]}}],
        ),
        (  # what was not taken shows in what is there
            attributes(external_id="a", long="short"),
            attributes(external_id="a", long="x" * 256, new="x" * 256, **{" spaced ": "2026-02-10"}),
            [{"external_id": "a", "custom_attributes": {"long": "short", "spaced": "2026-02-10T00:00:00.000Z"}}],
        ),
        ({}, attributes(external_id=12, first_name="A"), [{"external_id": "12"}]),
        ({}, attributes(email="Ann@Example.org ", a=1), [{"email": "Ann@Example.org ", "custom_attributes": {"a": 1}}]),
        (
            {},
            attributes(phone="+1 (202) 555-0143", a=1),
            [{"phone": "+1 (202) 555-0143", "custom_attributes": {"a": 1}}],
        ),
        (
            {},
            attributes(user_alias=ALIAS, _update_existing_only=False, a=1),
            [{"user_alias": ALIAS, "custom_attributes": {"a": 1}}],
        ),
        ({}, attributes(user_alias=ALIAS, a=1), []),
        ({}, attributes(external_id="a", _update_existing_only=True, a=1), []),
        ({}, attributes(braze_id="nobody", a=1), []),
        (
            event(external_id="a", time="2026-02-01T00:00:00Z"),
            event(external_id="a"),
            [
                {
                    "external_id": "a",
                    "custom_events": [{"name": "e", "first": "2026-02-01T00:00:00.000Z", "last": SHOWN, "count": 2}],
                }
            ],
        ),
        (
            {},
            purchase(external_id="a", quantity=3),
            [{"external_id": "a", "purchase_events": [{"product_id": "p", "first": SHOWN, "last": SHOWN, "count": 3}]}],
        ),
        (  # one object instead of an array of one, and the singular key
            {},
            {"purchase": purchase(external_id="a")["purchases"][0], "attributes": [], "partner": "x"},
            [{"external_id": "a", "purchase_events": [{"product_id": "p", "first": SHOWN, "last": SHOWN, "count": 1}]}],
        ),
    ],
)
def test_answer(workspace: Workspace, before: dict[str, Any], body: dict[str, Any], users: list[Any]) -> None:
    if before:
        assert workspace.track(before).status == 201
    answer = workspace.track_sync(body)
    assert (answer.status, answer.body) == (201, {"users": users, "message": "success"})
    assert workspace.status(answer.request_id).body["status"] == "applied"
    assert int(answer.headers["X-RateLimit-Limit"]) == 500


@pytest.mark.parametrize(
    ("body", "message", "errors"),
    [
        ({"attributes": [{"external_id": "a"}, {"external_id": "b"}]}, "Max Input Length Exceeded", []),
        ({**attributes(external_id="a"), **event(external_id="a")}, "Max Input Length Exceeded", []),
        (
            {"attributes": []},
            "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields.",
            [],
        ),
        (
            attributes(external_id="a", email="nonsense"),
            "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields.",
            [("attributes", 0)],
        ),
        (
            purchase(external_id="a", quantity=0),
            "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields.",
            [("purchases", 0)],
        ),
    ],
)
def test_refused(workspace: Workspace, body: dict[str, Any], message: str, errors: list[tuple[str, int]]) -> None:
    answer = workspace.post("/users/track/sync", body)
    assert (answer.status, answer.message, answer.errors) == (400, message, errors)
    assert workspace.stored() == []


def test_permission(workspace: Workspace) -> None:
    key = workspace.service.key(workspace.id, "users.track")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    assert workspace.service.send("POST", "/users/track/sync", b"{}", headers, key).status == 403


def test_the_profile_that_was_addressed(workspace: Workspace) -> None:
    """Of several holders of an address the identified one that was updated last; of a former id its holder."""
    for name in ("a", "b"):
        workspace.track(attributes(external_id=name, email="x@example.org", name=name))
    workspace.track(attributes(email="y@example.org", name="nobody"))
    answer = workspace.track_sync(attributes(email="x@example.org", seen={"inc": 1}, name="c"))
    assert answer.body["users"] == [{"email": "x@example.org", "custom_attributes": {"seen": 1, "name": "c"}}]
    assert [user["custom_attributes"] for user in workspace.stored()] == [
        {"name": "a"},
        {"name": "c", "seen": 1},
        {"name": "nobody"},
    ]


def test_a_request_that_is_not_applied_in_time_stays_queued(valkey_server: ValkeyServer, tmp_path: Path) -> None:
    with running(settings_for("", valkey_server.url, tmp_path, sync_wait_seconds=0.1)) as service:
        workspace = service.workspace()
        answer = workspace.post("/users/track/sync", attributes(external_id="a", n={"inc": 1}), drain=False)
        assert (answer.status, answer.body) == (503, {"message": "timeout"})
        assert workspace.status(answer.request_id).body["status"] == "queued"
        workspace.drain()
        assert workspace.status(answer.request_id).body["status"] == "applied"
        assert workspace.user("a")["custom_attributes"] == {"n": 1}
