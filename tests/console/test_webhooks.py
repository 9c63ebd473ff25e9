"""Webhooks at the console: made, changed, tested and deleted; what is wrong with one is said; hostile text is text."""

import re

import pytest

from app.services.accounts import ADMIN, READER
from app.store import outbox
from tests.api.harness import Service, Workspace
from tests.console.desk import HOSTILE, Browser, Desk, texts

FORM = {"url": "https://1.1.1.1/", "events": "profile.created", "enabled": "yes"}


def made(browser: Browser, base: str) -> str:
    """The id of the one webhook that there is."""
    (found,) = re.findall(r"edit\?id=([0-9a-f-]+)", browser.get(base).text)
    return str(found)


def test_a_webhook_from_beginning_to_end(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/webhooks"
    assert "Nobody is told" in texts(browser.get(base))
    shown = browser.post(base, FORM)
    (secret,) = re.findall(r"whsec_[A-Za-z0-9+/=]+", shown.text)
    webhook_id = made(browser, base)
    assert secret not in browser.get(base).text
    assert (
        browser.post(base, {**FORM, "id": webhook_id, "url": "https://1.1.1.1/two", "include": "yes"}).status_code
        == 303
    )
    assert "https://1.1.1.1/two" in browser.get(f"{base}/edit?id={webhook_id}").text
    assert "with the profile" in texts(browser.get(base))
    assert secret not in browser.post(f"{base}/secret", {"id": webhook_id}).text
    assert browser.post(f"{base}/test", {"id": webhook_id}).status_code == 303
    assert "webhook.test" in texts(browser.get(f"{base}/messages?id={webhook_id}"))
    with workspace.service.database.write() as connection:
        (message,) = outbox.listed(connection, workspace.id, webhook_id, "due", 10)
        outbox.fail(connection, workspace.id, message, "dead", 0, "status_500")
    listed = browser.get(f"{base}/messages?id={webhook_id}")
    assert ("status_500" in listed.text, "Send all dead" in listed.text) == (True, True)
    assert browser.post(f"{base}/replay", {"id": webhook_id}).status_code == 303
    assert "Send all dead" not in browser.get(f"{base}/messages?id={webhook_id}").text
    assert browser.post(f"{base}/delete", {"id": webhook_id}).status_code == 303
    assert "Nobody is told" in texts(browser.get(base))
    for act in ("test", "delete", "replay"):
        assert browser.post(f"{base}/{act}", {"id": webhook_id}).status_code == 303
    for page in ("edit", "messages"):
        assert browser.get(f"{base}/{page}?id={webhook_id}").status_code == 404
    assert browser.post(f"{base}/secret", {"id": webhook_id}).status_code == 404
    assert "New webhook" not in desk.logged_in(READER, workspace).get(base).text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": ""}, "'url' must be"),
        ({"url": "javascript:alert(1)"}, "'url' must be"),
        ({"url": "http://127.0.0.1/"}, "'url' must be"),
        ({"events": "webhook.test"}, "'events' must be"),
    ],
    ids=["none", "script", "private", "events"],
)
def test_what_is_no_webhook(on_sqlite: Service, fields: dict[str, str], message: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser = desk.logged_in(ADMIN, workspace)
    answer = browser.post(f"/console/{workspace.id}/webhooks", {**FORM, **fields})
    assert (answer.status_code, message in texts(answer)) == (422, True), texts(answer)


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(on_sqlite: Service, text: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/webhooks"
    for name in (*FORM, "id", "include"):
        answer = browser.post(base, {**FORM, name: text})
        assert answer.status_code in (200, 303, 404, 422), name
        for page in (answer, browser.get(base)):
            assert "<script>window" not in page.text
            assert "<img" not in page.text
            assert "50337" not in page.text
