"""Previews of segments that take longer than an answer may wait: a job counts, and whoever asks again is told."""

import json
import threading
import time

import pytest
from sqlalchemy import Connection, text

from app.services import previews
from app.store import jobs as store
from app.store.jobs import Job
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.jobs import job_worker, jobs_of, work_off
from workers.jobs.run import JobFailedError, LostError, Run

PATH = "/v1/segments/preview"
GOLD: Json = {"groups": [{"filters": [{"field": "custom_attribute", "name": "tier", "op": "equals", "value": "gold"}]}]}


@pytest.fixture(autouse=True)
def impatient(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """No count ends in time."""
    monkeypatch.setattr(service.services.segments._counting, "_timeout", 0.0)


def ask(workspace: Workspace, document: Json, key: str = "") -> Answer:
    headers = {**workspace.headers(), **({"Authorization": f"Bearer {key}"} if key else {})}
    return workspace.service.send("POST", PATH, json.dumps(document).encode(), headers, key or workspace.key)


def people(workspace: Workspace) -> None:
    attributes = [{"external_id": f"u{n}", "tier": "gold" if n % 2 else "silver"} for n in range(9)]
    workspace.track({"attributes": attributes})


def test_what_takes_too_long_becomes_a_job(service: Service, workspace: Workspace) -> None:
    people(workspace)
    first = ask(workspace, {**GOLD, "sample": 3})
    assert first.status == 202, first.text
    job = first.body["job"]
    assert (job["kind"], job["state"]) == ("segment_preview", "queued")
    assert ask(workspace, {"sample": 3, **GOLD}).body["job"]["id"] == job["id"]
    other = ask(workspace, {**GOLD, "sample": 2})
    assert (other.status, other.body["job"]["id"] == job["id"]) == (202, False)
    assert work_off(service) == ["done", "done"]

    counted = ask(workspace, {**GOLD, "sample": 3})
    assert counted.status == 200
    assert (counted.body["size"], counted.body["job"]["id"]) == (4, job["id"])
    assert [one["external_id"] for one in counted.body["sample"]] == ["u1", "u3", "u5"]
    (shown,) = [one for one in jobs_of(workspace) if one["id"] == job["id"]]
    assert (shown["state"], shown["size"], "sample" in shown, "target" in shown) == ("done", 4, False, False)
    whole = service.send("GET", f"/v1/jobs/{job['id']}", None, workspace.headers(), workspace.key).body["job"]
    assert whole["sample"] == counted.body["sample"]
    for_others = service.key(workspace.id, "admin.jobs")
    hidden = service.send("GET", f"/v1/jobs/{job['id']}", None, {"Authorization": f"Bearer {for_others}"}, for_others)
    assert (hidden.body["job"]["size"], "sample" in hidden.body["job"]) == (4, False)


def test_who_is_deleted_leaves_the_sample(service: Service, workspace: Workspace) -> None:
    people(workspace)
    ask(workspace, GOLD)
    work_off(service)
    workspace.post("/users/delete", {"external_ids": ["u3"]})
    counted = ask(workspace, GOLD)
    assert counted.body["size"] == 4  # as it was counted; `job` says when
    assert [one["external_id"] for one in counted.body["sample"]] == ["u1", "u5", "u7"]


def test_what_was_counted_is_given_for_a_while(
    service: Service, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(workspace)
    first = ask(workspace, GOLD).body["job"]["id"]
    work_off(service)
    monkeypatch.setattr(previews, "FRESH_US", -1)
    again = ask(workspace, GOLD)
    assert (again.status, again.body["job"]["id"] == first) == (202, False)
    work_off(service)


@pytest.mark.parametrize("how", ["done", "cancelled", "given up"])
def test_the_filters_go_with_the_job(service: Service, workspace: Workspace, how: str) -> None:
    named = {"groups": [{"filters": [{"field": "external_id", "op": "equals", "value": "somebody-special"}]}]}
    identifier = ask(workspace, named).body["job"]["id"]

    def kept() -> str:
        with service.database.read() as connection:
            row = connection.execute(text("select parameters from job where id = :id"), {"id": identifier})
            return str(row.scalar())

    assert "somebody-special" in kept()
    if how == "done":
        work_off(service)
    elif how == "cancelled":
        service.send("DELETE", f"/v1/jobs/{identifier}", None, workspace.headers(), workspace.key)
    else:
        claimed = store.claim(service.database, "me", times_now())
        assert claimed is not None
        with service.database.write() as connection:
            connection.execute(text("update job set attempts = 5, lease_us = 0 where id = :id"), {"id": identifier})
            assert store.revive(connection, times_now()) == (0, 1)
    assert kept() == "{}"


def test_bad_requests_are_refused_and_no_job_is_made(service: Service, workspace: Workspace) -> None:
    assert ask(workspace, {"sample": -1}).status == 400
    assert ask(workspace, {"groups": [{"filters": [{"field": "x", "op": "y"}]}]}).status == 400
    assert jobs_of(workspace) == []


def test_a_segment_that_goes_before_its_count(service: Service, workspace: Workspace) -> None:
    answer = workspace.post("/v1/segments", {"name": "gold", **GOLD}, drain=False)
    member = {"field": "segment_membership", "segment_id": answer.body["id"], "op": "is_member"}
    assert ask(workspace, {"groups": [{"filters": [member]}]}).status == 202
    headers = workspace.headers()
    service.send("DELETE", f"/v1/segments/{answer.body['id']}", None, headers, workspace.key)
    assert work_off(service) == ["failed"]
    assert jobs_of(workspace)[0]["error"] == "target_gone"


def test_a_workspace_has_so_many_jobs(service: Service, workspace: Workspace) -> None:
    most = service.services.jobs._bounds.jobs
    assert [ask(workspace, {"sample": n}).status for n in range(most)] == [202] * most
    full = ask(workspace, {"sample": most})
    assert (full.status, full.message) == (400, "Too many jobs of the workspace are queued or running")
    work_off(service)


def _forever(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_sleep(300)"))
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    connection.execute(text(endless))


@pytest.mark.parametrize("why", ["cancelled", "time"])
def test_a_statement_ends_with_its_attempt(
    service: Service, workspace: Workspace, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.jobs.run.WATCH_SECONDS", 0.05)
    monkeypatch.setattr("workers.jobs.run.LEASE_US", 600_000)
    identifier = ask(workspace, GOLD).body["job"]["id"]
    begun = threading.Event()
    raised: list[Exception] = []

    def work(run: Run) -> None:
        def read(connection: Connection) -> None:
            begun.set()
            _forever(connection)

        try:
            run.read(read)
        except (LostError, JobFailedError) as error:
            raised.append(error)
            raise

    def end() -> None:
        begun.wait(10)
        with service.database.read() as connection:
            job = store.find(connection, identifier)
        assert isinstance(job, Job)
        if why == "cancelled":
            with service.database.write() as connection:
                store.cancel(connection, workspace.id, identifier, times_now())

    ending = threading.Thread(target=end)
    ending.start()
    started = time.monotonic()
    with job_worker(service, seconds=0.5 if why == "time" else 60.0) as runner:
        monkeypatch.setattr(runner, "_works", {"segment_preview": work})
        summary = runner.run_next()
    ending.join()
    assert time.monotonic() - started < 10
    expected = ("lost", LostError) if why == "cancelled" else ("failed", JobFailedError)
    assert (summary.state, [type(error) for error in raised]) == (expected[0], [expected[1]])
    assert summary.error == ("" if why == "cancelled" else "time_limit")
