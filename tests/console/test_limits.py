"""Limits and usage as the console shows them; changing limits by the rules of the API."""

import re

import pytest

from app.services.accounts import ADMIN, READER
from app.store import keys
from tests.api.harness import Workspace
from tests.console.desk import HOSTILE, Desk, texts

TRACK = {"attributes": [{"external_id": "ada", "first_name": "Ada"}]}


def test_a_burst_limit_is_raised_and_the_429s_stop(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/limits"
    fields = {"plan": "legacy", "track_burst_limit": 2, "burst_window_seconds": 3600, "hourly_refill": "continuous"}
    fields["track_reset_style"] = "epoch"
    assert browser.post(f"{base}/track", fields).headers["location"] == base
    assert [workspace.track(TRACK).status for _ in range(3)] == [201, 201, 429]
    live = texts(browser.get(f"{base}/live"))
    assert "empty" in live
    used = browser.get(f"{base}/used")
    assert re.search(r"track\s+2\s+1\s", texts(used)), texts(used)
    shown = browser.get(base).text
    assert 'name="track_burst_limit" inputmode="numeric" value="2"' in shown
    assert (
        browser.post(f"{base}/track", {**fields, "track_burst_limit": 500, "burst_window_seconds": 1}).status_code
        == 303
    )
    assert workspace.track(TRACK).status == 201
    assert [(act.act, act.target) for act in desk.acts(workspace)] == [("limits.track", "track")] * 2


def test_the_limit_of_a_group(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/limits"

    def stored() -> object:
        return keys.of_workspace(desk.service.database, workspace.id).group_limits

    fields = {"group": "rename", "how": "own", "requests": 7, "window_seconds": 60}
    assert browser.post(f"{base}/group", fields).status_code == 303
    assert stored() == {"rename": [7, 60]}
    assert browser.post(f"{base}/group", {"group": "track-bulk", "how": "plan"}).status_code == 303
    assert stored() == {"rename": [7, 60], "track-bulk": "plan"}
    assert browser.post(f"{base}/group", {"group": "rename", "how": "default"}).status_code == 303
    assert stored() == {"track-bulk": "plan"}
    for wrong in (
        {**fields, "requests": 0},
        {**fields, "requests": "many"},
        {**fields, "window_seconds": 10**9},
        {**fields, "requests": 10**8, "window_seconds": 1},
        {**fields, "group": "nothing"},
        {"group": "rename", "how": "plan"},
    ):
        answer = browser.post(f"{base}/group", wrong)
        assert (answer.status_code, 'role="alert"' in answer.text) == (422, True), wrong
    assert stored() == {"track-bulk": "plan"}


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(desk: Desk, workspace: Workspace, text: str) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}"
    good = {"plan": "legacy", "hourly_refill": "continuous", "track_reset_style": "epoch"}
    for name in ("plan", "track_hourly_limit", "burst_window_seconds", "hourly_refill", "max_objects_combined"):
        answer = browser.post(f"{base}/limits/track", {**good, name: text})
        assert (answer.status_code, "<script>window" in answer.text, "<img" in answer.text) == (422, False, False)
    group = browser.post(f"{base}/limits/group", {"group": text, "how": "own", "requests": 1, "window_seconds": 1})
    assert (group.status_code, "<script>window" in group.text) == (422, False)
    for part in ("usage", "usage/figures"):
        shown = browser.get(f"{base}/{part}?hours=x&key=a%00b&endpoint=%3Cscript%3Ewindow")
        assert (shown.status_code, "<script>window" in shown.text) == (200, False)


def test_usage_by_key_endpoint_and_status(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(READER, workspace), f"/console/{workspace.id}/usage"
    workspace.track(TRACK)
    workspace.track(TRACK)
    workspace.track({"nothing": 1})
    workspace.export(external_ids=["ada"])
    desk.service.loop.run(desk.service.services.usage_counter.flush())
    (key,) = keys.listed(desk.service.database, workspace.id)
    lines = re.findall(
        r"(\S+)\s+(\w+ /\S+)\s+(\d+)\s+(\d+)\s", texts(browser.get(f"{base}/figures")).split("Answers ")[-1]
    )
    assert sorted(lines) == [
        (key.name, "POST /users/export/ids", "201", "1"),
        (key.name, "POST /users/track", "201", "2"),
        (key.name, "POST /users/track", "400", "1"),
    ]
    one = texts(browser.get(f"{base}/figures?endpoint=POST+/users/export/ids&key={key.key_id}&hours=24"))
    assert ("/users/export/ids" in one, "/users/track" in one) == (True, False)
    assert "/users/" not in texts(browser.get(f"{base}/figures?key=nobody"))
    assert f'<option value="{key.key_id}" selected>' in browser.get(f"{base}?key={key.key_id}").text


def test_the_overview_tells_how_far_applying_is(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(READER, workspace), f"/console/{workspace.id}/overview"

    def numbers(page: str) -> list[tuple[str, ...]]:
        shown = texts(browser.get(page))
        return re.findall(r"Accepted\s+(\d+).*?Applied\s+(\d+).*?Backlog\s+(\d+)", shown, re.DOTALL)

    assert numbers(f"{base}/live") == [("0", "0", "0")] * 2
    before = re.search(r"before=([\d.]+)", browser.get(f"{base}/live").text)
    assert before is not None
    workspace.track(TRACK, drain=False)
    assert numbers(f"{base}/live") == [("1", "0", "1"), ("0", "0", "0")]
    workspace.drain()
    assert numbers(f"{base}/live?before={before[1]}") == [("1", "1", "0"), ("0", "0", "0")]
    assert "a second" in texts(browser.get(f"{base}/live?before={before[1]}"))
    assert "a second" not in texts(browser.get(f"{base}/live?before=1.x.2.3.4"))
    workspace.track({"nothing": 1})
    desk.service.loop.run(desk.service.services.usage_counter.flush())
    assert re.search(r"POST /users/track\s+400\s+1", texts(browser.get(f"{base}/minutes")))
