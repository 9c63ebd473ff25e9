"""Apps, settings and the log of acts in the console."""

import re

import pytest

from app.cli import workspaces as cli
from app.services import workspace_settings, workspaces
from app.services.accounts import ADMIN, READER
from app.services.apps import listed
from app.services.caller import Caller
from app.store import acts, keys
from tests.api.harness import Workspace
from tests.console.desk import HOSTILE, Desk, texts


def operator(desk: Desk, workspace: Workspace) -> Caller:
    return Caller.operator(keys.of_workspace(desk.service.database, workspace.id), "")


def test_an_app_from_beginning_to_end(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/apps"
    made = browser.post(base, {"name": "Shop", "platform": "web", "origins": "https://shop.example.org\n"})
    assert made.headers["location"] == base
    (app,) = listed(desk.service.database, operator(desk, workspace))
    assert (app.name, app.platform, app.allowed_origins) == ("Shop", "web", ("https://shop.example.org",))
    assert app.sdk_key in browser.get(base).text
    edit = browser.get(f"{base}/{app.id}").text
    assert "https://shop.example.org</textarea>" in edit
    changed = browser.post(f"{base}/{app.id}", {"name": "Shop 2", "origins": "", "disabled": "yes"})
    assert changed.status_code == 303
    (after,) = listed(desk.service.database, operator(desk, workspace))
    assert (after.name, after.allowed_origins, after.disabled) == ("Shop 2", ("*",), True)
    assert browser.post(f"{base}/{app.id}/rotate").status_code == 303
    (rotated,) = listed(desk.service.database, operator(desk, workspace))
    assert rotated.sdk_key != app.sdk_key
    assert browser.get(f"{base}/nothing").status_code == 404
    other = desk.logged_in(ADMIN, desk.service.workspace())
    assert other.get(f"{base}/{app.id}").status_code == 404
    done = [(act.act, act.target, act.status) for act in desk.acts(workspace)]
    assert done == [("apps.rotate", "Shop 2", 303), ("apps.change", "Shop", 303), ("apps.create", "Shop", 303)]
    assert "Shop 2" in texts(browser.get(f"/console/{workspace.id}/acts"))


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(desk: Desk, workspace: Workspace, text: str) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}"
    browser.post(f"{base}/apps", {"name": "a", "platform": "web"})
    (app, *_) = listed(desk.service.database, operator(desk, workspace))
    good = {"name": "a", "platform": "web"}
    for name in ("name", "platform", "origins", "public_keys"):
        for path in ("apps", f"apps/{app.id}"):
            assert browser.post(f"{base}/{path}", {**good, name: text}).status_code in (303, 422), name
    for name in ("time_zone", "array_max", "spam_sessions"):
        answer = browser.post(f"{base}/settings", {name: text})
        assert answer.status_code == 422, name
        assert "<script>window" not in answer.text
    for path in ("apps", f"apps/{app.id}", "settings", "acts", "usage", "acts?before=%00"):
        shown = browser.get(f"{base}/{path}")
        assert shown.status_code in (200, 404), path
        assert "<script>window" not in shown.text
        assert "<img" not in shown.text


def test_settings(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/settings"

    def typed() -> dict[str, str]:
        shown = browser.get(base).text
        fields = dict(re.findall(r'<input name="(\w+)" value="([^"]*)"', shown))
        return fields | dict.fromkeys(re.findall(r'name="(\w+)" value="yes" checked', shown), "yes")

    before = typed()
    assert (before["time_zone"], before["array_max"], "ecommerce_events" in before) == ("UTC", "500", True)
    assert browser.post(base, before).headers["location"] == base
    assert "Nothing was different." in browser.get(base).text
    wanted = before | {"time_zone": "Europe/Paris", "archival": "yes", "array_max": "50", "disabled": "yes"}
    del wanted["ecommerce_events"]
    assert browser.post(base, wanted).status_code == 303
    workspace.drain()
    assert typed() == wanted
    assert desk.acts(workspace)[0].target == "archival, array_max, disabled, ecommerce_events, time_zone"
    for wrong in ({"array_max": ""}, {"array_max": "0"}, {"time_zone": "Mars/Olympus"}, {"default_phone_region": "XX"}):
        answer = browser.post(base, wanted | wrong)
        assert (answer.status_code, 'role="alert"' in answer.text) == (422, True), wrong
    assert typed() == wanted
    assert browser.post(base, before).status_code == 303  # a closed workspace opens again
    workspace.drain()
    assert typed() == before
    reader = desk.logged_in(READER, workspace).get(base)
    assert ("<form" in reader.text.split("<main")[1], "<dd>UTC</dd>" in reader.text) == (False, True)


def test_every_setting_of_the_command_line_is_there() -> None:
    named = {one.name for one in workspace_settings.SETTINGS}
    assert named == set(cli.SWITCHES) - {"company"}
    assert {one.name for one in workspace_settings.SETTINGS if one.is_applied} == set(workspaces.APPLIED)


def test_the_log_of_acts_has_pages(desk: Desk, workspace: Workspace) -> None:

    for n in range(101):
        number = acts.begin(desk.service.database, n, "a", workspace.id, "keys.create", "")
        acts.finish(desk.service.database, number, 201, f"k{n:03}")
    browser = desk.logged_in(READER, workspace)
    first = browser.get(f"/console/{workspace.id}/acts")
    assert re.findall(r"k\d{3}", texts(first)) == [f"k{n:03}" for n in range(100, 0, -1)]
    older = re.search(r'href="([^"]*before=\d+)"', first.text)
    assert older is not None
    assert re.findall(r"k\d{3}", texts(browser.get(older[1]))) == ["k000"]
    for wrong in ("x", "0", "99999999999999999999"):
        assert browser.get(f"/console/{workspace.id}/acts?before={wrong}").status_code == 404
