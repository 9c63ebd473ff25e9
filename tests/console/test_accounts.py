"""Accounts as an admin of the installation changes them in the console, and everybody's own password."""

import re

import pytest

from app.services import accounts
from app.services.accounts import ADMIN, EVERYWHERE
from tests.api.harness import Workspace
from tests.console.desk import HOSTILE, Desk, texts
from tests.console.password import HASHED, PASSWORD


def roles(desk: Desk, name: str) -> dict[int, str] | None:
    return next((dict(one.roles) for one in accounts.listed(desk.service.database) if one.name == name), None)


def test_an_account_from_beginning_to_end(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN), "/console/accounts"
    named = next(
        one.name for one in desk.service.loop.run(desk.service.services.workspaces.listed()) if one.id == workspace.id
    )
    name = f"grace of {named}"
    made = browser.post(base, {"name": name, "role": "reader", "workspace": named})
    assert made.status_code == 201
    password = re.search(r'id="password" value="([\w-]+)"', made.text)
    assert password is not None
    assert roles(desk, name) == {workspace.id: "reader"}
    grace = desk.browser("198.51.100.200")
    assert grace.log_in(name, password[1]).status_code == 303
    assert grace.get(f"/console/{workspace.id}/keys").status_code == 200
    assert grace.get(base).status_code == 403
    assert browser.post(f"{base}/role", {"name": name, "role": "admin", "workspace": ""}).status_code == 303
    assert roles(desk, name) == {EVERYWHERE: "admin", workspace.id: "reader"}
    assert grace.get(base).status_code == 200
    assert browser.post(f"{base}/role", {"name": name, "role": "none", "workspace": ""}).status_code == 303
    assert roles(desk, name) == {workspace.id: "reader"}
    another = browser.post(f"{base}/reset", {"name": name})
    assert (another.status_code, password[1] in another.text) == (200, False)
    assert grace.get("/console/").status_code == 303
    assert browser.post(f"{base}/delete", {"name": name}).status_code == 303
    assert roles(desk, name) is None
    for path, fields, words in (
        ("", {"name": "x", "role": "owner"}, "A role is one of"),
        ("", {"name": "", "role": "reader"}, "A name has 1 to 255"),
        ("", {"name": "x", "role": "reader", "workspace": "nothing"}, "No workspace has this name"),
        ("/role", {"name": name, "role": "reader"}, "No account has this name"),
        ("/reset", {"name": name}, "No account has this name"),
        ("/delete", {"name": name}, "No account has this name"),
    ):
        answer = browser.post(f"{base}{path}", fields)
        assert (answer.status_code, words in texts(answer)) == (422, True), path
    done = [(act.act, act.target) for act in desk.acts() if name in act.target]
    assert done[::-1][:5] == [
        ("accounts.create", name),
        ("accounts.role", f"{name}: admin"),
        ("accounts.role", f"{name}: none"),
        ("accounts.reset", name),
        ("accounts.delete", name),
    ]


def test_ones_own_password(desk: Desk) -> None:
    name = desk.account({EVERYWHERE: "reader"}, HASHED)
    browser = desk.session_of(name)
    new = "staple of a correct horse"
    for fields, words in (
        ({"old": PASSWORD, "new": new, "again": "x"}, "The two new passwords differ"),
        ({"old": "x", "new": new, "again": new}, "The password until now is another one"),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "A password has 12"),
    ):
        answer = browser.post("/console/password", fields)
        assert (answer.status_code, words in texts(answer)) == (422, True)
    changed = browser.post("/console/password", {"old": PASSWORD, "new": new, "again": new})
    assert changed.headers["location"] == "/console/log-in"
    assert browser.get("/console/").status_code == 303
    assert browser.log_in(name, new).status_code == 303


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(desk: Desk, text: str) -> None:
    browser, base = desk.logged_in(ADMIN), "/console/accounts"
    browser.post(base, {"name": text, "role": "reader"})
    for path in ("/role", "/reset", "/delete"):
        browser.post(f"{base}{path}", {"name": text, "role": text, "workspace": text})
    for page in (browser.get(base), browser.get("/console/acts"), browser.get("/console/?q=%3Cscript%3Ewindow")):
        assert page.status_code == 200
        assert "<script>window" not in page.text
        assert "<img" not in page.text
