"""Duplicates at the console: rules, what they would do, a run, taking it back, and the schedule."""

import pytest

from app.services.accounts import ADMIN, OPERATOR, READER
from tests.api.harness import Service, Workspace
from tests.api.jobs import work_off
from tests.console.desk import HOSTILE, Desk, texts

RULES = {"identifier": ["email", "phone"], "ties": ["created_at", "updated_at"], "prioritization": ["oldest", "newest"]}


def twins(workspace: Workspace) -> None:
    for name in ("ada", "ada 2"):
        workspace.track({"attributes": [{"external_id": name, "email": "ada@example.org"}]})


def test_a_run_and_taking_it_back(desk: Desk, workspace: Workspace) -> None:
    twins(workspace)
    admin, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/duplicates"
    assert admin.post(f"{base}/rules", RULES).headers["location"] == base
    shown = " ".join(texts(admin.get(f"{base}/preview?by=email")).split())
    assert "The oldest by created_at is kept" in shown
    assert "ada@example.org 2 ada ada 2" in shown
    assert "No two profiles share one" in texts(admin.get(f"{base}/preview?by=phone"))
    browser = desk.logged_in(OPERATOR, workspace)
    started = browser.post(f"{base}/runs", {"by": "email"})
    assert started.status_code == 303, texts(started)
    run = started.headers["location"]
    assert "The run is queued." in texts(browser.get(run))
    assert "A run of merge rules is under way" in texts(browser.post(f"{base}/runs", {"by": ""}))
    finish(workspace)
    state = " ".join(texts(browser.get(f"{run}/state", HX_Request="true")).split())
    assert "State done" in state
    assert "Merged 1" in state
    assert names(workspace) == ["ada"]
    taken = browser.post(f"{base}/undo", {"run_id": run.rpartition("/")[2]})
    assert taken.headers["location"] == run
    finish(workspace)
    assert "Taken back 1 done" in " ".join(texts(browser.get(f"{run}/state")).split())
    assert names(workspace) == ["ada", "ada 2"]
    listed = " ".join(texts(browser.get(f"{base}/runs")).split())
    assert "done" in listed
    assert browser.get(f"{base}/runs/nothing").status_code == 404
    done = [act.act for act in desk.acts(workspace)][::-1]
    assert done == ["duplicates.rules", "duplicates.run", "duplicates.run", "duplicates.undo"]


def names(workspace: Workspace) -> list[str]:
    return sorted(user["external_id"] for user in workspace.stored())


def finish(workspace: Workspace) -> None:
    """The job, which waits for what it queues."""
    with workspace.service.draining(workspace.id):
        work_off(workspace.service)


def test_rules_and_schedule(desk: Desk, workspace: Workspace) -> None:
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/duplicates"
    for wrong in (
        {**RULES, "identifier": ["email", "email"]},
        {**RULES, "identifier": ["", ""]},
        {**RULES, "identifier": ["fax", ""]},
        {**RULES, "ties": ["luck", "luck"]},
        {**RULES, "prioritization": ["best", "best"]},
        {},
    ):
        assert browser.post(f"{base}/rules", wrong).status_code == 422
    assert browser.post(f"{base}/schedule", {"enabled": "yes"}).status_code == 303
    assert "at the beginning of each day" in texts(browser.get(base))
    assert browser.post(f"{base}/schedule", {"enabled": ""}).status_code == 303
    assert "when asked for" in texts(browser.get(base))
    assert browser.post(f"{base}/runs", {"by": "fax"}).status_code == 422
    assert browser.post(f"{base}/undo", {"run_id": "nothing"}).headers["location"] == base
    assert browser.get(f"{base}/preview?by=fax").status_code == 422
    reader = desk.logged_in(READER, workspace).get(base).text
    assert ("Keep the rules" in reader, ">Run<" in reader) == (False, False)


@pytest.mark.parametrize("text", HOSTILE, ids=[f"hostile{n}" for n in range(len(HOSTILE))])
def test_hostile_fields(on_sqlite: Service, text: str) -> None:
    desk, workspace = Desk(on_sqlite), on_sqlite.workspace()
    browser, base = desk.logged_in(ADMIN, workspace), f"/console/{workspace.id}/duplicates"
    forms: dict[str, dict[str, str]] = {
        "/rules": {"identifier": "email", "ties": "created_at", "prioritization": "oldest"},
        "/schedule": {"enabled": "yes"},
        "/runs": {"by": ""},
        "/undo": {"run_id": "x"},
    }
    for path, form in forms.items():
        for page in [*(browser.post(f"{base}{path}", {**form, name: text}) for name in form), browser.get(base)]:
            assert page.status_code in (200, 303, 422), path
            assert "<script>window" not in page.text
            assert "<img" not in page.text
