"""Exports of a segment: who is in the file, one export at a time, cancelling, and segments that are gone."""

import json
from typing import Any
from uuid import uuid4

import pytest

from app.store import jobs as store
from app.store.jobs import Job
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.jobs import download, job_worker, jobs_of, users_of, work_off
from tests.api.tiers import GOLD, people, segment
from workers.jobs import parts as job_files

EXPORT, CANCEL = "/users/export/segment", "/export/segment/cancel"


def start(workspace: Workspace, segment_id: str, **more: object) -> Answer:
    return workspace.post(EXPORT, {"segment_id": segment_id, "fields_to_export": ["external_id"], **more}, drain=False)


@pytest.mark.parametrize("form", ["zip", "gzip"])
def test_the_file_has_everybody_in_the_segment(
    service: Service, workspace: Workspace, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_files, "PART_USERS", 3)
    people(workspace, 17)
    segment_id = segment(workspace)
    answer = start(workspace, segment_id, output_format=form)
    assert answer.status == 201
    assert work_off(service) == ["done"]
    found = users_of(download(service, answer.body["url"]).content)
    assert found == [{"external_id": f"u{n}"} for n in range(17) if n % 2]
    (job,) = jobs_of(workspace)
    assert (job["kind"], job["target"], job["total"], job["users"]) == ("export_segment", segment_id, 8, 8)


def test_a_large_export_lets_previews_pass(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the part in hand, of its own workspace and of others; then it goes on where it was."""
    monkeypatch.setattr(job_files, "PART_USERS", 3)
    people(workspace, 17)
    answer, other = start(workspace, segment(workspace)), service.workspace()
    steps: list[str] = []

    def ask(_job: Job, step: str) -> None:
        steps.append(step)
        if steps == ["part_recorded", "part_written"]:
            for one in (workspace, other):
                with service.database.write() as connection:
                    told = {"definition": {"groups": GOLD["groups"]}, "sample": 0}
                    store.create(connection, one.id, str(uuid4()), "segment_preview", "x", told, "", times_now())

    with job_worker(service, after_step=ask) as runner:
        found = []
        while (summary := runner.run_next()).job:
            found.append((summary.kind, summary.state))
    assert found == [
        ("export_segment", "waiting"),
        ("segment_preview", "done"),
        ("segment_preview", "done"),
        ("export_segment", "done"),
    ]
    assert len(users_of(download(service, answer.body["url"]).content)) == 8
    (job,) = (one for one in jobs_of(workspace) if one["kind"] == "export_segment")
    assert (job["attempts"], steps.count("part_written")) == (1, 3)


def test_one_export_of_a_segment_at_a_time(service: Service, workspace: Workspace) -> None:
    one, other = segment(workspace), segment(workspace, name="other")
    assert start(workspace, one).status == 201
    again = start(workspace, one)
    assert (again.status, again.message) == (400, "An export for this segment is already in progress")
    assert start(workspace, other).status == 201
    assert workspace.post(CANCEL, {"segment_id": one}, drain=False).body == {"message": "success"}
    assert start(workspace, one).status == 201
    assert work_off(service) == ["done", "done"]
    assert sorted(job["state"] for job in jobs_of(workspace)) == ["cancelled", "done", "done"]
    nothing = workspace.post(CANCEL, {"segment_id": one}, drain=False)
    assert (nothing.status, nothing.message) == (404, "No export for this segment is in progress")


def test_a_running_export_is_cancelled(service: Service, workspace: Workspace) -> None:
    people(workspace, 4)
    segment_id = segment(workspace)
    url = start(workspace, segment_id).body["url"]

    def cancel(_job: Job, at: str) -> None:
        if at == "part_written":
            assert workspace.post(CANCEL, {"segment_id": segment_id}, drain=False).status == 201

    assert work_off(service, after_step=cancel) == ["lost"]
    assert download(service, url).status_code == 404


@pytest.mark.parametrize("path", [EXPORT, CANCEL])
@pytest.mark.parametrize("sent", ["x", "00000000-0000-4000-8000-000000000000", 7])
def test_unknown_segments(workspace: Workspace, path: str, sent: Any) -> None:
    answer = workspace.post(path, {"segment_id": sent}, drain=False)
    assert (answer.status, answer.message) == (404, "Unknown segment")


@pytest.mark.parametrize("path", [EXPORT, CANCEL])
@pytest.mark.parametrize(
    "body", [{}, {"segment_id": None}, {"segment_id": ""}, {"segment_id": []}, {"segment_id": "\0"}]
)
def test_bodies_without_a_segment(workspace: Workspace, path: str, body: Json) -> None:
    answer = workspace.post(path, body, drain=False)
    assert (answer.status, answer.message) == (400, "'segment_id' must be the id of a segment")


def test_a_segment_of_another_workspace(service: Service, workspace: Workspace) -> None:
    other = service.workspace("legacy")
    assert start(workspace, segment(other)).status == 404


def test_a_segment_that_goes_before_its_export(service: Service, workspace: Workspace) -> None:
    segment_id = segment(workspace)
    start(workspace, segment_id)
    gone = service.send("DELETE", f"/v1/segments/{segment_id}", None, workspace.headers())
    assert gone.status == 200, json.dumps(gone.body)
    assert work_off(service) == ["failed"]
    (job,) = jobs_of(workspace)
    assert job["error"] == "target_gone"
