"""Alerts over HTTP and on the command line: made, changed, tested; whose they are, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from sqlalchemy import text
from standardwebhooks import Webhook, WebhookVerificationError

from app.adapters import signing
from app.adapters.clock import now_us
from app.adapters.http_out import HttpOut
from app.api.alerts.models import _Metric
from app.contract import alerts as contract
from app.domain.alerts import METRICS
from app.store import alerts as store
from app.store.alerts import Bounds
from tests.api.harness import Answer, Json, Service, Workspace
from tests.command_line import command_line
from tests.hooks import Hook, hook
from workers.alert_messages import AlertSender
from workers.alerts import AlertWatch

URL = "https://1.1.1.1/hook"
NEW: Json = {"name": "Refusals", "metric": "responses_4xx", "above": 5, "webhook": URL}


def call(workspace: Workspace, method: str, path: str, body: object = None) -> Answer:
    content = None if body is None else json.dumps(body).encode()
    return workspace.service.send(method, path, content, workspace.headers(), workspace.key)


def make(workspace: Workspace, **fields: Any) -> Json:
    answer = call(workspace, "POST", "/v1/alerts", NEW | fields)
    assert answer.status == 201, answer.text
    return answer.body


def test_made_changed_shown_and_deleted(workspace: Workspace) -> None:
    made = make(workspace, endpoint="POST /users/track", key_id="k1")
    assert made.pop("secret").startswith("whsec_")
    path = f"/v1/alerts/{made['id']}"
    stamps = {name: made[name] for name in ("id", "since", "created_at", "created_by", "message")}
    shown = {
        **stamps,
        "name": "Refusals",
        "metric": "responses_4xx",
        "above": 5,
        "window_minutes": 5,
        "for_seconds": 60,
        "clear_seconds": 60,
        "key_id": "k1",
        "endpoint": "POST /users/track",
        "webhook": URL,
        "emails": None,
        "enabled": True,
        "state": "ok",
        "value": None,
        "checked_at": None,
    }
    assert made == shown
    assert call(workspace, "GET", path).body == shown
    change = {"above": 7, "key_id": None, "for_seconds": 0, "window_minutes": 2.0, "enabled": False}
    changed = call(workspace, "PUT", path, change)
    assert changed.body == shown | change | {"window_minutes": 2, "since": changed.body["since"]}
    second = make(workspace, metric="lag_seconds", name="Lag")
    assert second["window_minutes"] is None
    listed = call(workspace, "GET", "/v1/alerts").body["alerts"]
    assert [one["name"] for one in listed] == ["Refusals", "Lag"]
    assert call(workspace, "DELETE", path).status == 200
    for method, body in (("GET", None), ("PUT", {"above": 1}), ("DELETE", None)):
        answer = call(workspace, method, path, body)
        assert (answer.status, answer.message) == (404, contract.UNKNOWN)


BAD: list[tuple[str, Any, str]] = [
    ("no object", [NEW], contract.BAD_NEW),
    ("no name", {**NEW, "name": None}, contract.BAD_NAME),
    ("empty name", {**NEW, "name": " "}, contract.BAD_NAME),
    ("line break", {**NEW, "name": "a\r\nBcc: b@example.org"}, contract.BAD_NAME),
    ("long name", {**NEW, "name": "x" * 256}, contract.BAD_NAME),
    ("unknown metric", {**NEW, "metric": "<script>"}, contract.BAD_METRIC),
    ("the installation's", {**NEW, "metric": "invalid_keys"}, contract.NOT_YOURS),
    ("negative", {**NEW, "above": -1}, contract.BAD_NUMBER % ("above", 0, contract.MAX_ABOVE)),
    ("fraction", {**NEW, "above": 1.5}, contract.BAD_NUMBER % ("above", 0, contract.MAX_ABOVE)),
    ("truth", {**NEW, "above": True}, contract.BAD_NUMBER % ("above", 0, contract.MAX_ABOVE)),
    ("huge", {**NEW, "above": 10**30}, contract.BAD_NUMBER % ("above", 0, contract.MAX_ABOVE)),
    ("no window", {**NEW, "window_minutes": 0}, contract.BAD_NUMBER % ("window_minutes", 1, 60)),
    ("long wait", {**NEW, "for_seconds": 86_401}, contract.BAD_NUMBER % ("for_seconds", 0, 86_400)),
    ("no key", {**NEW, "key_id": "a b"}, contract.BAD_KEY),
    ("a key of nothing", {**NEW, "metric": "dead_letters", "key_id": "k"}, contract.NOT_OF_RESPONSES),
    ("no path", {**NEW, "endpoint": "users/track"}, contract.BAD_ENDPOINT),
    ("no method", {**NEW, "endpoint": "post /users/track"}, contract.BAD_ENDPOINT),
    ("an endpoint of nothing", {**NEW, "metric": "lag_seconds", "endpoint": "/x"}, contract.NOT_OF_RESPONSES),
    ("both", {**NEW, "emails": ["a@example.org"]}, contract.BAD_CHANNEL),
    ("neither", {**NEW, "webhook": None}, contract.BAD_CHANNEL),
    ("no url", {**NEW, "webhook": "javascript:alert(1)"}, contract.BAD_WEBHOOK),
    ("private", {**NEW, "webhook": "http://169.254.169.254/latest"}, contract.BAD_WEBHOOK),
    ("no addresses", {**NEW, "webhook": None, "emails": []}, contract.BAD_EMAILS),
    ("no address", {**NEW, "webhook": None, "emails": ["a@example.org\r\nBcc: b@example.org"]}, contract.BAD_EMAILS),
    ("no mail server", {**NEW, "webhook": None, "emails": ["a@example.org"]}, contract.NO_MAIL),
    ("unknown member", {**NEW, "secret": 1}, contract.BAD_NEW),
    ("no flag", {**NEW, "enabled": 1}, contract.BAD_FLAG),
]


@pytest.mark.parametrize(("body", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_no_alert(on_sqlite: Service, body: Any, message: str) -> None:
    workspace = on_sqlite.workspace()
    answer = call(workspace, "POST", "/v1/alerts", body)
    assert (answer.status, answer.message) == (400, message)
    assert call(workspace, "GET", "/v1/alerts").body["alerts"] == []
    made = make(workspace)
    del made["secret"]  # shown once
    change = {name: value for name, value in body.items() if NEW.get(name) != value} if isinstance(body, dict) else body
    if isinstance(body, dict) and "emails" in body:
        change["webhook"] = body["webhook"]
    answer = call(workspace, "PUT", f"/v1/alerts/{made['id']}", change)
    words = contract.BAD_CHANGE if message == contract.BAD_NEW else message
    assert (answer.status, answer.message) == (400, words)
    assert call(workspace, "GET", f"/v1/alerts/{made['id']}").body == made


def test_a_webhook_has_a_secret_that_is_shown_once(workspace: Workspace) -> None:
    made = make(workspace)
    path = f"/v1/alerts/{made['id']}"
    secret = made["secret"]
    for answer in (call(workspace, "GET", path), call(workspace, "PUT", path, {"above": 6})):
        assert (answer.status, "secret" in answer.body) == (200, False)
    assert "whsec_" not in call(workspace, "GET", "/v1/alerts").text
    assert "whsec_" not in call(workspace, "POST", f"{path}/test").text
    assert "whsec_" not in call(workspace, "GET", "/v1/alert_messages").text
    changed = call(workspace, "PUT", path, {"new_secret": True})
    assert changed.body["secret"].startswith("whsec_")
    assert changed.body["secret"] != secret
    for wrong in (False, 1, None, "yes"):
        answer = call(workspace, "PUT", path, {"new_secret": wrong})
        assert (answer.status, answer.message) == (400, contract.BAD_RENEWAL)
    answer = call(workspace, "POST", "/v1/alerts", {**NEW, "new_secret": True})
    assert (answer.status, answer.message) == (400, contract.BAD_NEW)


def test_an_alert_of_before_gets_its_secret_when_it_is_changed(workspace: Workspace) -> None:
    made = make(workspace)
    path = f"/v1/alerts/{made['id']}"
    with workspace.service.database.write() as connection:
        connection.execute(text("update alert set secret = '' where id = :id"), {"id": made["id"]})
    assert call(workspace, "PUT", path, {"above": 6}).body["secret"].startswith("whsec_")
    assert "secret" not in call(workspace, "PUT", path, {"above": 7}).body


def test_the_models_name_every_metric() -> None:
    assert get_args(_Metric) == METRICS


def test_others_have_none_of_it(service: Service, workspace: Workspace) -> None:
    other = service.workspace()
    made = make(workspace)
    del made["secret"]  # shown once
    path = f"/v1/alerts/{made['id']}"
    assert call(workspace, "POST", f"{path}/test").status == 202
    for method, at, body in (
        ("GET", path, None),
        ("PUT", path, {"above": 1}),
        ("DELETE", path, None),
        ("POST", f"{path}/test", None),
    ):
        assert call(other, method, at, body).status == 404
    assert call(other, "GET", "/v1/alerts").body["alerts"] == []
    assert call(other, "GET", f"/v1/alert_messages?alert_id={made['id']}").body["messages"] == []
    assert call(workspace, "GET", path).body == made


@pytest.fixture
def told() -> Iterator[Hook]:
    with hook() as server:
        yield server


def test_from_a_refusal_to_the_message(service: Service, workspace: Workspace, told: Hook) -> None:
    """What a client sends is counted, watched, said and delivered."""
    database, sender = service.database, AlertSender(service.database, now_us, HttpOut(allow_private=True), None)
    made = make(workspace, above=1, for_seconds=0, clear_seconds=0, endpoint="/users/track")
    with database.write() as connection:  # as if private addresses were allowed
        found = store.find(connection, workspace.id, made["id"])
        assert found is not None
        assert store.change(connection, found, {"targets": (told.url,)}, now_us())
    for _ in range(2):
        assert workspace.track({}).status == 400
    service.loop.run(service.services.usage_counter.flush())
    watch = AlertWatch(database, now_us, 5.0, Bounds(60, 1_000), "")
    watch.look()
    assert call(workspace, "GET", f"/v1/alerts/{made['id']}").body["state"] == "firing"
    assert call(workspace, "POST", f"/v1/alerts/{made['id']}/test").body["delivery"] == "due"
    for _ in range(2):
        for message in sender.due():
            sender.send(message)
            sender._busy.clear()
    mine = [body for body in told.told if body["alert"]["id"] == made["id"]]
    assert [body["state"] for body in mine] == ["firing", "test"]
    assert signed_by(told, made["id"], made["secret"]) == [True, True]
    assert call(workspace, "PUT", f"/v1/alerts/{made['id']}", {"new_secret": True}).body["secret"] != made["secret"]
    assert kept_secrets(service, made["id"]) == {""}
    listed = call(workspace, "GET", f"/v1/alert_messages?alert_id={made['id']}&limit=10").body["messages"]
    assert [(one["said"], one["delivery"], one["content"]["value"]) for one in listed] == [
        ("test", "delivered", 2),
        ("firing", "delivered", 2),
    ]
    for query in ("limit=0", "limit=x", "limit=501", "what=1"):
        assert call(workspace, "GET", f"/v1/alert_messages?{query}").status == 400


def signed_by(told: Hook, alert_id: str, secret: str) -> list[bool]:
    """Of each message of an alert, in order: whether a receiver that has this secret takes it for ours."""
    found = []
    for doc, body, headers in zip(told.told, told.bodies, told.headers, strict=True):
        if doc["alert"]["id"] == alert_id:
            assert headers["webhook-id"] == doc["id"] == headers["X-Onefold-Message-Id"]
            try:
                found.append(Webhook(secret).verify(body, headers) == doc)
            except WebhookVerificationError:
                found.append(False)
    return found


def kept_secrets(service: Service, alert_id: str) -> set[str]:
    """Secrets that stand with messages of an alert."""
    with service.database.read() as connection:
        rows = connection.execute(text("select secret from alert_message where alert_id = :id"), {"id": alert_id})
        return {row.secret for row in rows}


def test_what_is_due_is_signed_when_the_alert_is_gone(service: Service, workspace: Workspace, told: Hook) -> None:
    """With the secret of when it was said; a body that somebody changed on the way is not taken for ours."""
    sender = AlertSender(service.database, now_us, HttpOut(allow_private=True), None)
    made = make(workspace)
    with service.database.write() as connection:  # as if private addresses were allowed
        found = store.find(connection, workspace.id, made["id"])
        assert found is not None
        assert store.change(connection, found, {"targets": (told.url,)}, now_us())
    assert call(workspace, "POST", f"/v1/alerts/{made['id']}/test").status == 202
    assert call(workspace, "DELETE", f"/v1/alerts/{made['id']}").status == 200
    (message,) = [one for one in sender.due() if one.alert_id == made["id"]]
    assert sender.send(message) == "delivered"
    assert signed_by(told, made["id"], made["secret"]) == [True]
    assert signed_by(told, made["id"], signing.new_secret()) == [False]
    told.bodies = [body.replace(b"test", b"tset") for body in told.bodies]
    assert signed_by(told, made["id"], made["secret"]) == [False]
    assert kept_secrets(service, made["id"]) == {""}


def test_bounds_over_http(on_sqlite: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, settings = on_sqlite.workspace(), on_sqlite.services.alerts.settings
    made = [make(workspace) for _ in range(settings.most)]
    answer = call(workspace, "POST", "/v1/alerts", NEW)
    assert (answer.status, answer.message) == (400, contract.TOO_MANY)
    tests = [call(workspace, "POST", f"/v1/alerts/{made[0]['id']}/test").status for _ in range(settings.bounds.an_hour)]
    assert set(tests) == {202}
    answer = call(workspace, "POST", f"/v1/alerts/{made[0]['id']}/test")
    assert (answer.status, answer.message) == (400, contract.TOO_MANY_MESSAGES)


def test_on_the_command_line(tmp_path: Any, told: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    run = command_line(tmp_path)
    monkeypatch.setenv("ONEFOLD_HTTP_ALLOW_PRIVATE", "true")
    run("migrate")
    run("workspaces", "create", "shop")
    new = ("--metric", "responses_5xx", "--above", "0", "--webhook", told.url)
    made = run("alerts", "create", "Errors", *new, "--workspace", "shop", "--endpoint", "/users/track")
    first = made.splitlines()[0]
    assert "whsec_" in made
    whole = run("alerts", "create", "Strangers", *new[2:], "--metric", "invalid_keys", "--installation").splitlines()[0]
    assert "none of" not in run("alerts", "list", "--installation")
    assert [one["id"] for one in json.loads(run("alerts", "list", "--installation", "--json"))] == [whole]
    (shown,) = json.loads(run("alerts", "list", "--workspace", "shop", "--json"))
    assert (shown["id"], shown["endpoint"], shown["created_by"]) == (first, "/users/track", "onefold alerts")
    assert "whsec_" not in run(
        "alerts", "update", first, "--workspace", "shop", "--above", "7", "--endpoint", "", "--disabled"
    )
    assert "whsec_" in run("alerts", "update", first, "--workspace", "shop", "--new-secret")
    changed = json.loads(run("alerts", "show", first, "--workspace", "shop"))
    assert (changed["above"], changed["endpoint"], changed["enabled"]) == (7, None, False)
    assert contract.UNKNOWN in run("alerts", "show", whole, "--workspace", "shop", fails=True)
    assert contract.NOT_YOURS in run(
        "alerts", "update", first, "--workspace", "shop", "--metric", "invalid_keys", fails=True
    )
    assert contract.NO_KEY_OF_ALL in run("alerts", "create", "x", *new, "--key-id", "k", "--installation", fails=True)
    monkeypatch.setattr("app.cli.alerts.TEST_SECONDS", 0.0)
    assert "No sweeper" in run("alerts", "test", first, "--workspace", "shop", fails=True)
    (message,) = json.loads(run("alerts", "messages", "--workspace", "shop", "--alert", first, "--json"))
    assert (message["said"], message["delivery"]) == ("test", "due")
    run("alerts", "delete", first, "--workspace", "shop")
    assert json.loads(run("alerts", "list", "--workspace", "shop", "--json")) == []
