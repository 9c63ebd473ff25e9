"""Change webhooks over HTTP and on the command line: made, changed, tested, replayed; and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from standardwebhooks import Webhook as Verifier

from app.adapters.clock import now_us
from app.adapters.http_out import HttpOut
from app.api.webhooks import models
from app.contract import webhooks as contract
from app.contract.segment_requests import WATCHED
from app.domain.times import SECOND
from app.domain.webhooks import CHANGES, EVENTS, TYPES
from app.store import outbox, workspaces
from app.store.outbox import DEAD
from tests.api.harness import Answer, Json, Workspace
from tests.command_line import command_line
from tests.hooks import Hook, hook
from workers.webhook_events import EventTeller
from workers.webhook_messages import WebhookSender

URL = "https://1.1.1.1/hook"
NEW: Json = {"url": URL, "events": ["profile.updated", "profile.created"]}


def call(workspace: Workspace, method: str, path: str, body: object = None) -> Answer:
    content = None if body is None else json.dumps(body).encode()
    return workspace.service.send(method, path, content, workspace.headers(), workspace.key)


def make(workspace: Workspace, **fields: Any) -> Json:
    answer = call(workspace, "POST", "/v1/webhooks", NEW | fields)
    assert answer.status == 201, answer.text
    return answer.body


def tell(workspace: Workspace) -> None:
    """Make the messages of what was applied."""
    database = workspace.service.database
    EventTeller(database, now_us, lambda w: workspaces.secret(database, w)).tell()


def send(workspace: Workspace, url: str) -> int:
    """What a sweeper does. The webhook of the workspace is at `url` from here on: no test may call others."""
    tell(workspace)
    database = workspace.service.database
    out = HttpOut(allow_private=True)
    found = WebhookSender(database, now_us, out, lambda w: workspaces.secret(database, w))
    with database.write() as connection:
        connection.exec_driver_sql(f"update webhook set url = '{url}', rests_until_us = 0")
    return sum(found.send(one) for one in found.ready() if one.workspace_id == workspace.id)


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as found:
        yield found


def test_the_types_are_documented() -> None:
    assert set(get_args(models._Event)) == set(EVENTS)
    assert set(get_args(models._Type)) == set(TYPES.values())


def test_made_changed_shown_and_deleted(workspace: Workspace) -> None:
    made = make(workspace)
    path = f"/v1/webhooks/{made['id']}"
    shown = {
        **{name: made[name] for name in ("id", "created_at", "created_by", "message")},
        "url": URL,
        "events": ["profile.created", "profile.updated"],
        "segment_id": None,
        "include": None,
        "enabled": True,
        "delivered_at": None,
        "failures": 0,
        "error": "",
        "dropped": 0,
    }
    assert made == {**shown, "secret": made["secret"]}
    assert made["secret"].startswith("whsec_")
    assert call(workspace, "GET", path).body == shown
    change = {"include": "profile", "enabled": False, "events": ["subscription.changed"]}
    assert call(workspace, "PUT", path, change).body == shown | change
    del shown["message"]
    assert call(workspace, "GET", "/v1/webhooks").body["webhooks"] == [shown | change]
    assert call(workspace, "PUT", path, {"url": URL + "2", "include": None}).body["url"] == URL + "2"
    assert call(workspace, "DELETE", path).body == {"message": "success"}
    assert call(workspace, "GET", "/v1/webhooks").body["webhooks"] == []
    for method, end in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/secret"),
        ("POST", "/test"),
        ("GET", "/messages"),
        ("POST", "/replay"),
    ):
        answer = call(workspace, method, path + end)
        assert (answer.status, answer.body) == (404, {"message": contract.UNKNOWN}), end
    assert call(workspace, "PUT", path, {"enabled": True}).status == 404


def test_of_a_segment(workspace: Workspace) -> None:
    """It cannot lose its segment while it wants to be told who enters; the segment cannot go while it has a webhook."""
    segment = workspace.post("/v1/segments", {"name": "one", "groups": []}, drain=False).body["id"]
    made = make(workspace, events=["segment.entered", "segment.left"], segment_id=segment)
    path = f"/v1/webhooks/{made['id']}"
    assert (made["segment_id"], made["events"]) == (segment, ["segment.entered", "segment.left"])
    refused = call(workspace, "PUT", path, {"segment_id": None})
    assert (refused.status, refused.body["message"]) == (400, contract.NO_SEGMENT)
    deleted = call(workspace, "DELETE", f"/v1/segments/{segment}")
    assert (deleted.status, deleted.body["message"]) == (400, WATCHED)
    change = {"segment_id": None, "events": ["profile.updated"]}
    assert call(workspace, "PUT", path, change).body["segment_id"] is None
    refused = call(workspace, "PUT", path, {"events": ["segment.left"]})
    assert (refused.status, refused.body["message"]) == (400, contract.NO_SEGMENT)
    assert call(workspace, "DELETE", f"/v1/segments/{segment}").status == 200


WRONG: list[tuple[object, str]] = [
    ([], contract.BAD_NEW),
    ({}, contract.BAD_NEW),
    ({"url": URL}, contract.BAD_NEW),
    (NEW | {"secret": "whsec_x"}, contract.BAD_NEW),
    (NEW | {"url": 5}, contract.BAD_URL),
    (NEW | {"url": ""}, contract.BAD_URL),
    (NEW | {"url": "ftp://one.example.org/"}, contract.BAD_URL),
    (NEW | {"url": "http://127.0.0.1/"}, contract.BAD_URL),
    (NEW | {"url": "http://[::1]/"}, contract.BAD_URL),
    (NEW | {"url": "https://one.example.org/" + 3_000 * "a"}, contract.BAD_URL),
    (NEW | {"events": []}, contract.BAD_EVENTS),
    (NEW | {"events": None}, contract.BAD_EVENTS),
    (NEW | {"events": ["webhook.test"]}, contract.BAD_EVENTS),
    (NEW | {"events": [["profile.created"]]}, contract.BAD_EVENTS),
    (NEW | {"events": ["segment.entered"]}, contract.NO_SEGMENT),
    (NEW | {"events": ["segment.left"], "segment_id": None}, contract.NO_SEGMENT),
    (NEW | {"segment_id": "none"}, contract.BAD_SEGMENT),
    (NEW | {"segment_id": "\0"}, contract.BAD_NEW),
    (NEW | {"segment_id": 1}, contract.BAD_SEGMENT),
    (NEW | {"segment_id": ""}, contract.BAD_SEGMENT),
    (NEW | {"segment_id": 101 * "a"}, contract.BAD_SEGMENT),
    (NEW | {"include": "all"}, contract.BAD_INCLUDE),
    (NEW | {"include": []}, contract.BAD_INCLUDE),
    (NEW | {"enabled": 1}, contract.BAD_FLAG),
]


@pytest.mark.parametrize(("body", "words"), WRONG, ids=range(len(WRONG)))
def test_what_is_refused(workspace: Workspace, body: object, words: str) -> None:
    answer = call(workspace, "POST", "/v1/webhooks", body)
    assert (answer.status, answer.body["message"]) == (400, words)
    if words != contract.BAD_NEW:
        made = make(workspace)
        assert isinstance(body, dict)
        change = {name: value for name, value in body.items() if value != NEW.get(name)}
        answer = call(workspace, "PUT", f"/v1/webhooks/{made['id']}", change)
        assert (answer.status, answer.body["message"]) == (400, words)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?limit=0", contract.BAD_LIMIT),
        ("?limit=x", contract.BAD_LIMIT),
        ("?state=sent", contract.BAD_STATE),
        ("?page=1", contract.BAD_QUERY),
    ],
)
def test_queries_that_are_refused(workspace: Workspace, query: str, words: str) -> None:
    answer = call(workspace, "GET", f"/v1/webhooks/{make(workspace)['id']}/messages{query}")
    assert (answer.status, answer.body["message"]) == (400, words)


def test_told_of_a_guest_under_the_request_that_the_client_knows(workspace: Workspace, receiver: Hook) -> None:
    made = make(workspace, events=list(CHANGES))
    path = f"/v1/webhooks/{made['id']}"
    guest = {"user_alias": {"alias_label": "guest", "alias_name": "g-4711"}, "_update_existing_only": False}
    accepted = workspace.track({"attributes": [{**guest, "email": "guest@example.org"}]})
    tell(workspace)
    (waiting,) = call(workspace, "GET", f"{path}/messages").body["messages"]
    assert (waiting["types"], waiting["state"], waiting["attempts"]) == (["profile.created"], "due", 0)
    assert send(workspace, receiver.url) == 1
    told = Verifier(made["secret"]).verify(receiver.bodies[0], receiver.headers[0])
    assert told["type"] == "profile.created"
    assert told["data"] == {
        "braze_id": waiting["braze_id"],
        "external_id": None,
        "user_aliases": [{"alias_label": "guest", "alias_name": "g-4711"}],
        "email": "guest@example.org",
        "types": ["profile.created"],
        "changed": ["email", "user_aliases"],
        "request_id": accepted.request_id,
    }
    assert receiver.headers[0]["webhook-id"] == waiting["id"]
    assert call(workspace, "GET", f"{path}/messages").body["messages"] == []


def test_a_new_secret_a_test_and_dead_messages(workspace: Workspace, receiver: Hook) -> None:
    made = make(workspace)
    path = f"/v1/webhooks/{made['id']}"
    secret = call(workspace, "POST", f"{path}/secret").body["secret"]
    assert secret != made["secret"]
    tested = call(workspace, "POST", f"{path}/test")
    assert tested.status == 202
    assert send(workspace, receiver.url) == 1
    for one in (secret, made["secret"]):
        Verifier(one).verify(receiver.bodies[0], receiver.headers[0])
    assert (receiver.told[0]["type"], receiver.headers[0]["webhook-id"]) == ("webhook.test", tested.body["id"])
    workspace.track({"attributes": [{"external_id": "a"}]})
    tell(workspace)
    database = workspace.service.database
    with database.write() as connection:
        (message,) = outbox.listed(connection, workspace.id, made["id"], "due", 10)
        outbox.fail(connection, workspace.id, message, DEAD, now_us() + SECOND, "status_500")
    (dead,) = call(workspace, "GET", f"{path}/messages?state=dead").body["messages"]
    assert (dead["error"], dead["attempts"], dead["due_at"]) == ("status_500", 1, None)
    answer = call(workspace, "POST", f"{path}/replay")
    assert (answer.status, answer.body["replayed"]) == (202, 1)
    assert send(workspace, receiver.url) == 1
    assert call(workspace, "POST", f"{path}/replay").body["replayed"] == 0


def test_the_command_line_does_the_same(tmp_path: Path) -> None:
    run = command_line(tmp_path)
    run("migrate")
    run("workspaces", "create", "default")
    webhook_id, secret = run("webhooks", "create", URL, "--event", "profile.created").split()
    assert secret.startswith("whsec_")
    assert run("webhooks", "update", webhook_id, "--disable", "--with-profile") == "changed\n"
    shown = json.loads(run("webhooks", "show", webhook_id))
    assert (shown["enabled"], shown["include"], shown["events"]) == (False, "profile", ["profile.created"])
    assert json.loads(run("webhooks", "list", "--json")) == [shown]
    run("webhooks", "update", webhook_id, "--enable", "--without-profile")
    assert run("webhooks", "rotate", webhook_id).strip() != secret
    message_id = run("webhooks", "test", webhook_id).strip()
    assert [one["id"] for one in json.loads(run("webhooks", "messages", webhook_id, "--json"))] == [message_id]
    assert run("webhooks", "replay", webhook_id) == "0\n"
    assert run("webhooks", "delete", webhook_id) == "deleted\n"
    assert json.loads(run("webhooks", "list", "--json")) == []
