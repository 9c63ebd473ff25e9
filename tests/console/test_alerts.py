"""Alerts at the console: made, changed, tested and deleted; what is wrong with one is said; hostile names are text."""

import re

import pytest

from app.services.accounts import ADMIN, READER
from tests.api.harness import Service, Workspace
from tests.console.desk import HOSTILE, Browser, Desk, texts

FORM = {"name": "Refusals", "metric": "responses_4xx", "above": "5", "window_minutes": "5", "for_seconds": "0",
        "clear_seconds": "0", "endpoint": "/users/track", "webhook": "https://1.1.1.1/", "enabled": "yes"}  # fmt: skip


def made(browser: Browser, base: str) -> str:
    """The id of the one alert that there is."""
    (found,) = re.findall(r"edit\?id=([0-9a-f-]+)", browser.get(base).text)
    return str(found)


def test_an_alert_from_beginning_to_end(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/alerts"
    assert "Nothing is watched" in texts(browser.get(base))
    secret = browser.post(base, FORM)
    assert (secret.status_code, "whsec_" in secret.text, "Refusals" in texts(secret)) == (201, True, True)
    alert_id = made(browser, base)
    shown = browser.get(f"{base}/edit?id={alert_id}").text
    assert ('value="/users/track"' in shown, "whsec_" in shown) == (True, False)
    assert browser.post(base, {**FORM, "id": alert_id, "above": "77", "enabled": ""}).status_code == 303
    other = browser.post(base, {**FORM, "id": alert_id, "new_secret": "yes", "above": "77", "enabled": ""})
    assert (other.status_code, "whsec_" in other.text, other.text == secret.text) == (201, True, False)
    listed = texts(browser.get(base))
    assert ("77" in listed, " off " in listed) == (True, True)
    assert browser.post(f"{base}/test", {"id": alert_id}).status_code == 303
    assert "this is a test of the alert Refusals" in texts(browser.get(f"{base}/messages"))
    assert browser.post(f"{base}/delete", {"id": alert_id}).status_code == 303
    assert "Nothing is watched" in texts(browser.get(base))
    for act in ("test", "delete"):
        assert browser.post(f"{base}/{act}", {"id": alert_id}).status_code == 303
    assert browser.get(f"{base}/edit?id={alert_id}").status_code == 404
    assert [act.act for act in desk.acts(workspace)][::-1][:4] == [
        "alerts.save", "alerts.save", "alerts.save", "alerts.test",
    ]  # fmt: skip
    assert "New alert" not in desk.logged_in(READER, workspace).get(base).text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": " "}, "'name' must be a text"),
        ({"above": "many"}, "'above' must be a whole number"),
        ({"window_minutes": "61"}, "'window_minutes' must be"),
        ({"metric": "invalid_keys"}, "Only an alert of the installation"),
        ({"endpoint": "users"}, "'endpoint' must be null"),
        ({"webhook": "javascript:alert(1)"}, "'webhook' must be"),
        ({"webhook": "http://127.0.0.1/"}, "'webhook' must be"),
        ({"webhook": ""}, "either a 'webhook' or 'emails'"),
        ({"webhook": "", "emails": "ops@example.org"}, "E-mail is not set up"),
    ],
    ids=["name", "above", "window", "metric", "endpoint", "script", "private", "nobody", "mail"],
)
def test_what_is_no_alert(on_sqlite: Service, fields: dict[str, str], message: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser = desk.logged_in(ADMIN, workspace)
    answer = browser.post(f"/console/{workspace.id}/alerts", {**FORM, **fields})
    assert (answer.status_code, message in texts(answer)) == (422, True), texts(answer)


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(on_sqlite: Service, text: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/alerts"
    for name in (*FORM, "id", "key_id", "emails"):
        answer = browser.post(base, {**FORM, name: text})
        assert answer.status_code in (201, 303, 404, 422), name
        for page in (answer, browser.get(base)):
            assert "<script>window" not in page.text
            assert "<img" not in page.text
            assert "50337" not in page.text
