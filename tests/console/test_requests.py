"""Requests, errors, dead letters, jobs and data points in the console: what is shown, acts, hostile values."""

from typing import Any, Final
from urllib.parse import urlencode

from app.domain.jobs import CANCELLED, EXPORT_SEGMENT
from app.services.accounts import OPERATOR, READER
from app.store import jobs
from tests.api.harness import Service, Workspace, times_now
from tests.console.desk import HOSTILE, Desk, texts

FRAGMENT: Final = {"HX_Request": "true"}


def noted(workspace: Workspace) -> None:
    """What was refused so far is written."""
    workspace.service.loop.run(workspace.service.services.refused_requests.flush())


def dead_letter(workspace: Workspace, external_id: str = "ada") -> str:
    """The id of a request that could not be applied."""
    answer = workspace.track({"attributes": [{"external_id": external_id, "n": 1}]}, drain=False)
    database = workspace.service.database
    with database.write(database.inbox) as connection:
        connection.exec_driver_sql(
            f"update inbox set codec = 99 where workspace_id = {workspace.id} and seq ="
            f" (select head from inbox_head where workspace_id = {workspace.id} and stream = 0)"
        )
    assert workspace.service.drain(workspace.id).dead == 1
    return answer.request_id


def test_the_request_that_did_not_change_somebody(desk: Desk, workspace: Workspace) -> None:
    skipped = workspace.track({"attributes": [{"external_id": "bob", "n": 1}, {"external_id": "ada", "dob": "no"}]})
    other = workspace.track({"attributes": [{"external_id": "bob", "n": 1}]})
    refused = workspace.track({"attributes": [{"external_id": "ada", "n": 1}], "events": 3})
    partly = workspace.track({"attributes": [{"external_id": "ada", "n": 1}, {"n": 2}]})
    noted(workspace)
    browser = desk.logged_in(READER, workspace)
    base = f"/console/{workspace.id}"
    assert "Whom they name" in browser.get(f"{base}/requests?external_id=ada").text
    page = browser.get(f"{base}/requests/found?external_id=ada", **FRAGMENT)
    shown = texts(page)
    assert skipped.request_id in shown
    assert "attributes[1].dob" in " ".join(shown.split())
    assert "invalid_value" in shown
    assert other.request_id not in shown
    assert (refused.status, partly.status) == (400, 201) if refused.status == 400 else (201, 201)
    everything = texts(browser.get(f"{base}/requests/found", **FRAGMENT))
    assert other.request_id in everything
    assert "/users/track" in everything
    one = texts(browser.get(f"{base}/requests/one/{skipped.request_id}"))
    assert "invalid_value" in one
    assert "Every object of the request has had its effect." in texts(
        browser.get(f"{base}/requests/one/{other.request_id}")
    )
    assert browser.get(f"{base}/requests/one/nothing").status_code == 404
    groups = texts(browser.get(f"{base}/errors/groups", **FRAGMENT))
    assert "'external_id', 'braze_id', 'user_alias', 'email' or 'phone' is required" in groups
    assert "No request that is kept was refused." in texts(browser.get(f"{base}/errors/groups?status=429", **FRAGMENT))


def test_pages_of_requests(desk: Desk, workspace: Workspace) -> None:
    for n in range(55):
        workspace.track({"attributes": [{"external_id": "ada", "n": n}]}, drain=n == 54)
    browser = desk.logged_in(READER, workspace)
    first = browser.get(f"/console/{workspace.id}/requests/found", **FRAGMENT).text
    assert first.count("<tr>") == 51
    (link,) = [part.split('"')[0] for part in first.split('hx-get="')[1:]]
    second = browser.get(link.replace("&amp;", "&"), **FRAGMENT).text
    assert second.count("<tr>") == 6
    live = browser.get(f"/console/{workspace.id}/requests/found?live=on", **FRAGMENT).text
    assert (live.count("<tr>"), "Look further back" in live) == (31, False)


#: Pages, and the fields of their forms.
FIELDS: Final = {
    "/requests": ("external_id", "email", "phone", "braze_id", "status", "key", "endpoint", "from", "to", "live"),
    "/requests/found": ("external_id", "email", "phone", "key", "cursor"),
    "/errors": ("status", "key", "endpoint", "from"),
    "/errors/groups": ("key",),
    "/dead-letters": ("reason", "kind", "replayed", "from", "cursor"),
    "/jobs": ("state", "kind", "cursor"),
    "/data-points": ("days",),
}


def test_hostile_values_are_text(on_sqlite: Service) -> None:
    """In every field of every form: shown as they were typed, or refused with a sentence."""
    workspace = on_sqlite.workspace("legacy")
    workspace.track({"attributes": [{"external_id": "ada", "n": 1}]})
    browser = Desk(on_sqlite).logged_in(OPERATOR, workspace)
    for path, names in FIELDS.items():
        for name in names:
            for value in HOSTILE:
                query = urlencode({name: value}, errors="replace")
                page = browser.get(f"/console/{workspace.id}{path}?{query}")
                assert page.status_code in (200, 422), (path, name, value)
                assert "<script>window" not in page.text
                assert "<img src=x" not in page.text


def test_dead_letters_are_sent_again(desk: Desk, workspace: Workspace) -> None:
    letters = [dead_letter(workspace, name) for name in ("ada", "bob")]
    reader, operator = desk.logged_in(READER, workspace), desk.logged_in(OPERATOR, workspace)
    base = f"/console/{workspace.id}/dead-letters"
    assert [letter in reader.get(base).text for letter in letters] == [True, True]
    assert 'name="id"' not in reader.get(base).text
    assert reader.post(f"{base}/replay", {"id": letters}).status_code == 403
    operator.get(base)
    operator.post(f"{base}/replay", {"what": "chosen"})
    assert "Choose the letters" in operator.get(base).text
    sent = operator.post(f"{base}/replay", {"what": "chosen", "id": [letters[0], "nothing"]})
    assert sent.headers["location"] == base
    told = texts(operator.get(base))
    assert "1 sent again." in told
    assert "1 are no dead letters of this workspace." in told
    operator.post(f"{base}/replay", {"what": "all", "kind": "track"})
    assert "1 sent again." in texts(operator.get(base))
    assert texts(operator.get(f"{base}?replayed=false")).count("There is no dead letter.") == 1
    assert operator.get(f"{base}?kind=no").status_code == 422
    acts = [(act.act, act.target, act.status) for act in desk.acts(workspace)]
    assert acts[:3] == [
        ("dead_letters.replay", "all that match", 303),
        ("dead_letters.replay", "2 letters", 303),
        ("dead_letters.replay", "", 303),
    ]


def job(workspace: Workspace, id_: str, **values: Any) -> None:
    with workspace.service.database.write() as connection:
        jobs.create(connection, workspace.id, id_, EXPORT_SEGMENT, values.get("target", "s"), {}, "shop", times_now())


def test_jobs_are_shown_and_cancelled(desk: Desk, workspace: Workspace) -> None:
    job(workspace, "job-1", target="<b>segment</b>")
    reader, operator = desk.logged_in(READER, workspace), desk.logged_in(OPERATOR, workspace)
    base = f"/console/{workspace.id}/jobs"
    shown = reader.get(f"{base}/listed?state=queued", **FRAGMENT)
    assert "<b>segment</b>" in texts(shown)
    assert "<b>segment" not in shown.text
    assert "Cancel" not in shown.text
    assert reader.post(f"{base}/cancel", {"id": "job-1"}).status_code == 403
    operator.get(base)
    assert "Cancel" in operator.get(f"{base}/listed", **FRAGMENT).text
    operator.post(f"{base}/cancel", {"id": "job-1"})
    assert "The job job-1 is cancelled." in operator.get(base).text
    operator.post(f"{base}/cancel", {"id": "other"})
    assert "The workspace has no such job." in operator.get(base).text
    with workspace.service.database.read() as connection:
        found = jobs.find(connection, "job-1")
    assert found is not None
    assert found.state == CANCELLED
    assert operator.get(f"{base}?state=no").status_code == 422


def test_data_points(desk: Desk, workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "ada", "a": 1, "b": 2}]})
    workspace.track({"attributes": [{"external_id": "ada", "a": 1, "b": 3}]})
    browser = desk.logged_in(READER, workspace)
    base = f"/console/{workspace.id}/data-points"
    assert browser.get(base).status_code == 200
    figures = browser.get(f"{base}/figures?days=2", **FRAGMENT)
    assert figures.text.count('<th scope="row">') == 2
    assert "Deltas would save" in texts(figures)
    assert browser.get(f"{base}?days=0").status_code == 422
    assert browser.get(f"{base}/figures?days=x", **FRAGMENT).status_code == 400
