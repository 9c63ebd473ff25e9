"""Subscriptions at the console: groups, the states of a person, and setting one through the inbox."""

import pytest

from app.services.accounts import ADMIN, OPERATOR, READER
from tests.api.harness import Service, Workspace
from tests.console.desk import HOSTILE, Desk, texts


def test_a_group_and_the_state_of_a_person(desk: Desk, workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "ada", "email": "ada@example.org"}]})
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/subscriptions"
    assert "no subscription group yet" in texts(browser.get(base))
    group = {"name": "News", "channel": "email", "group_id": "news"}
    assert browser.post(base, group).headers["location"] == base
    assert browser.post(base, group).status_code == 422
    assert browser.post(f"{base}/rename", {"group_id": "news", "name": "Letters"}).status_code == 303
    assert "Letters" in texts(browser.get(base))
    assert "no recorded state" in texts(browser.get(f"{base}?by=external_id&who=ada"))
    operator = desk.logged_in(OPERATOR, workspace)
    state = {"by": "external_id", "who": "ada", "group_id": "news", "state": "subscribed"}
    assert operator.post(f"{base}/state", state).headers["location"] == base
    assert "The state is set by the request" in texts(operator.get(base))
    workspace.service.drain(workspace.id)
    for by, who in (("external_id", "ada"), ("email", "ADA@example.org")):
        assert "Letters: subscribed" in " ".join(texts(operator.get(f"{base}?by={by}&who={who}")).split())
    assert "Nobody has this identifier" in texts(operator.get(f"{base}?by=external_id&who=nobody"))
    reader = desk.logged_in(READER, workspace).get(base).text
    assert ("Set the state" in reader, "New group" in reader) == (False, False)


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("", {"name": " ", "channel": "email"}, "'name' must be a text"),
        ("", {"name": "x", "channel": "fax"}, "'channel' must be one of"),
        ("/rename", {"group_id": "nobody", "name": "x"}, "No subscription group has this id"),
        ("/state", {"by": "external_id", "who": "a", "group_id": "nobody", "state": "subscribed"}, "Invalid subscr"),
        ("/state", {"by": "external_id", "who": "a", "group_id": "nobody", "state": "maybe"}, "'subscription_state'"),
        ("/state", {"by": "email", "who": "no address", "group_id": "nobody", "state": "subscribed"}, "email"),
        ("/state", {"by": "", "who": "a", "group_id": "nobody", "state": "subscribed"}, "is required"),
    ],
    ids=["name", "channel", "unknown", "no group", "no state", "no address", "nobody"],
)
def test_what_cannot_be(on_sqlite: Service, path: str, fields: dict[str, str], message: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser = desk.logged_in(ADMIN, workspace)
    answer = browser.post(f"/console/{workspace.id}/subscriptions{path}", fields)
    assert (answer.status_code, message in texts(answer)) == (422, True), texts(answer)


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(on_sqlite: Service, text: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/subscriptions"
    forms = {
        "": {"name": "x", "channel": "email", "group_id": ""},
        "/rename": {"group_id": "x", "name": "y"},
        "/state": {"by": "external_id", "who": "a", "group_id": "x", "state": "subscribed"},
    }
    for path, form in forms.items():
        for page in [*(browser.post(f"{base}{path}", {**form, name: text}) for name in form), browser.get(base)]:
            assert page.status_code in (200, 303, 422), path
            assert "<script>window" not in page.text
            assert "<img" not in page.text
            assert "50337" not in page.text
