"""Jobs over HTTP: the list, one of them, ending one, and what a workspace may have."""

import pytest

from app.store import job_parts, jobs
from tests.api.harness import Answer, Service, Workspace, times_now
from tests.api.jobs import download, jobs_of, work_off

PATH = "/users/export/global_control_group"


def ask(workspace: Workspace, method: str, path: str, key: str | None = None) -> Answer:
    headers = {"Authorization": f"Bearer {key or workspace.key}"}
    return workspace.service.send(method, path, None, headers)


def test_a_job_from_beginning_to_end(service: Service, workspace: Workspace) -> None:
    url = workspace.post(PATH, {}, drain=False).body["url"]
    (listed,) = jobs_of(workspace)
    assert listed.keys() == {"id", "kind", "state", "created_at", "key_name", "attempts", "progress"}
    assert (listed["kind"], listed["state"], listed["attempts"]) == ("export_global_control_group", "queued", 0)
    work_off(service)
    job = ask(workspace, "GET", f"/v1/jobs/{listed['id']}").body["job"]
    assert (job["state"], job["url"], job["attempts"]) == ("done", url, 1)
    assert ask(workspace, "DELETE", f"/v1/jobs/{listed['id']}").body["job"].keys() == job.keys() - {"url", "expires_at"}
    assert download(service, url).status_code == 404


def test_pages(service: Service, workspace: Workspace) -> None:
    made = []
    for _ in range(5):
        workspace.post(PATH, {}, drain=False)
        made.append(jobs_of(workspace, "?state=queued")[0]["id"])
        work_off(service)
    seen, cursor = [], ""
    while True:
        answer = ask(workspace, "GET", f"/v1/jobs?limit=2{cursor}")
        seen += [job["id"] for job in answer.body["jobs"]]
        if "next_cursor" not in answer.body:
            break
        cursor = f"&cursor={answer.body['next_cursor']}"
    assert seen == made[::-1]
    assert jobs_of(workspace, "?kind=archive") == []
    assert jobs_of(workspace, "?state=failed") == []


QUERIES = [
    "state=x",
    "kind=x",
    "limit=0",
    "limit=501",
    "limit=x",
    "cursor=x",
    "cursor=1.%00",
    "cursor=" + "9" * 30,
    "what=1",
]


@pytest.mark.parametrize("query", QUERIES)
def test_bad_queries(workspace: Workspace, query: str) -> None:
    assert ask(workspace, "GET", f"/v1/jobs?{query}").status == 400


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("identifier", ["x", "%00", "00000000-0000-4000-8000-000000000000"])
def test_unknown_jobs(workspace: Workspace, method: str, identifier: str) -> None:
    answer = ask(workspace, method, f"/v1/jobs/{identifier}")
    assert (answer.status, answer.message) == (404, "Unknown job id")


def test_another_workspace_sees_nothing(service: Service, workspace: Workspace) -> None:
    workspace.post(PATH, {}, drain=False)
    (job,) = jobs_of(workspace)
    other = service.workspace("legacy")
    assert jobs_of(other) == []
    assert ask(other, "GET", f"/v1/jobs/{job['id']}").status == 404
    assert ask(other, "DELETE", f"/v1/jobs/{job['id']}").status == 404
    assert jobs_of(workspace) == [job]
    work_off(service)


def test_a_key_that_may_not_export_is_shown_no_address(service: Service, workspace: Workspace) -> None:
    workspace.post(PATH, {}, drain=False)
    work_off(service)
    (job,) = ask(workspace, "GET", "/v1/jobs", service.key(workspace.id, "admin.jobs")).body["jobs"]
    assert job["state"] == "done"
    assert "url" not in job
    assert ask(workspace, "GET", "/v1/jobs", service.key(workspace.id, "users.export.ids")).status == 403


def test_jobs_and_files_of_a_workspace_are_bounded(service: Service, workspace: Workspace) -> None:
    bounds = service.services.jobs._bounds
    database = service.database
    with database.write() as connection:
        for n in range(bounds.jobs):
            connection.exec_driver_sql(
                _ROW.format(workspace.id, f"a{workspace.id}-{n}", f"t{n}", "queued", 0, times_now())
            )
    full = workspace.post(PATH, {}, drain=False)
    assert (full.status, full.message) == (400, "Too many jobs of the workspace are queued or running")
    with database.write() as connection:
        connection.exec_driver_sql(
            f"update job set state = 'done', bytes = {bounds.bytes} where workspace_id = {workspace.id}"
        )
    full = workspace.post(PATH, {}, drain=False)
    assert full.status == 400
    assert full.message.startswith("The files of the workspace take up all of their space")


_ROW = (
    "insert into job (workspace_id, id, kind, target, parameters, created_by, state, created_us, finished_us, attempts,"
    " owner, lease_us, progress, result, error, bytes, callback, callback_us, callback_attempts)"
    " values ({}, '{}', 'archive', '{}', '{{}}', '', '{}', {}, {}, 0, '', 0, 0, '{{}}', '', 0, '', 0, 0)"
)


def test_finished_jobs_age_out(service: Service, workspace: Workspace) -> None:
    now, week = times_now(), job_parts.KEPT_US
    with service.database.write() as connection:
        for n in range(job_parts.KEPT + 3):
            row = _ROW.format(workspace.id, f"b{workspace.id}-{n}", f"t{n}", "done", now - week // 2 + n, now - n)
            connection.exec_driver_sql(row)
        row = _ROW.format(workspace.id, f"old{workspace.id}", "old", "done", now - week - 5, now - week - 1)
        connection.exec_driver_sql(row)
    with service.database.write() as connection:
        assert job_parts.expire(connection, now) == 4
    left = {job["id"] for job in jobs_of(workspace, "?limit=500")}
    assert f"old{workspace.id}" not in left
    assert f"b{workspace.id}-{job_parts.KEPT + 2}" in left


def test_whoever_was_served_longest_ago_comes_first(service: Service, workspace: Workspace) -> None:
    other = service.workspace("legacy")
    with service.database.write() as connection:
        for n in range(3):
            connection.exec_driver_sql(_ROW.format(workspace.id, f"c{n}-{workspace.id}", f"t{n}", "queued", n, 0))
        connection.exec_driver_sql(_ROW.format(other.id, f"d-{other.id}", "t", "queued", 9, 0))
    order = []
    for n in range(4):
        job = jobs.claim(service.database, "me", times_now() + n)
        assert job is not None
        order.append(job.id[0])
    assert order == ["c", "d", "c", "c"]
