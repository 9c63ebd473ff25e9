"""Exports to files over HTTP: from the request to the file, and what becomes of it when people are deleted."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.adapters.http_out import HttpOut
from app.contract import file_exports as contract
from app.domain.jobs import TIME_LIMIT
from app.domain.times import HOUR
from app.store import job_parts, jobs
from app.store.jobs import Job
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.jobs import download, expire, job_worker, jobs_of, users_of, work_off
from workers.jobs import parts as job_files
from workers.jobs.run import JobFailedError

PATH = "/users/export/global_control_group"


def members(workspace: Workspace, number: int) -> None:
    """So many people in the global control group, and two who are not."""
    people: list[Json] = [
        {
            "external_id": f"u{n}",
            "email": f"u{n}@example.org",
            "first_name": f"name {n}",
            "custom_attributes": {"tier": "gold", "n": n},
            "flags": ["global_control_group"],
        }
        for n in range(number)
    ]
    workspace.seed([*people, {"external_id": "other"}, {"external_id": "tester", "flags": ["test_user"]}])


def start(workspace: Workspace, **body: object) -> Answer:
    answer = workspace.post(PATH, body, drain=False)
    assert answer.status == 201, answer.text
    return answer


def files(service: Service, workspace: Workspace) -> list[str]:
    folder = service.settings.files_directory() / str(workspace.id)
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_files, "PART_USERS", 3)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("form", ["zip", "gzip"])
def test_the_file_has_everybody_in_the_group(service: Service, workspace: Workspace, form: str) -> None:
    members(workspace, 8)
    answer = start(workspace, output_format=form, fields_to_export=["external_id", "email"])
    url = answer.body["url"]
    assert url.endswith(f"{answer.body['object_prefix']}.{'gz' if form == 'gzip' else 'zip'}")
    assert download(service, url).status_code == 404  # not ready
    assert work_off(service) == ["done"]
    response = download(service, url)
    assert response.status_code == 200
    assert response.headers["content-type"] == ("application/gzip" if form == "gzip" else "application/zip")
    assert users_of(response.content) == [{"external_id": f"u{n}", "email": f"u{n}@example.org"} for n in range(8)]
    assert files(service, workspace) == [".gz" if form == "gzip" else ".zip"]
    (job,) = jobs_of(workspace)
    assert (job["state"], job["users"], job["bytes"], job["url"]) == ("done", 8, len(response.content), url)
    ranged = download(service, url, Range="bytes=10-19")
    assert (ranged.status_code, ranged.content) == (206, response.content[10:20])


def test_custom_attributes_by_name(service: Service, workspace: Workspace) -> None:
    members(workspace, 1)
    url = start(workspace, fields_to_export=["external_id"], custom_attributes_to_export=["n", "x"]).body["url"]
    work_off(service)
    assert users_of(download(service, url).content) == [{"external_id": "u0", "custom_attributes": {"n": 0}}]


def test_nobody_is_in_the_group(service: Service, workspace: Workspace) -> None:
    url = start(workspace).body["url"]
    assert work_off(service) == ["done"]
    assert users_of(download(service, url).content) == []


def test_one_export_at_a_time(service: Service, workspace: Workspace) -> None:
    start(workspace)
    again = workspace.post(PATH, {}, drain=False)
    assert (again.status, again.message) == (400, "An export of the global control group is already in progress")
    work_off(service)
    start(workspace)
    work_off(service)


CUSTOM, CALLBACK = contract.BAD_CUSTOM, contract.BAD_CALLBACK
BAD: list[tuple[object, str]] = [
    ([], "The request body must be a JSON object"),
    ({"fields_to_export": ["nothing"]}, "'fields_to_export' must be an array with at least one known field name"),
    ({"fields_to_export": 1}, "'fields_to_export' must be an array with at least one known field name"),
    ({"output_format": "rar"}, "'output_format' must be zip or gzip"),
    ({"custom_attributes_to_export": ["x"] * 501}, CUSTOM),
    ({"custom_attributes_to_export": [1]}, CUSTOM),
    *(
        ({"callback_endpoint": url}, CALLBACK)
        for url in (1, "x", "ftp://e.org/", "http://127.0.0.1/", "http://[::1]:8080/", "http://169.254.169.254/latest")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), BAD)
def test_what_is_refused(workspace: Workspace, body: object, message: str) -> None:
    answer = workspace.post(PATH, body, drain=False)
    assert (answer.status, answer.message) == (400, message)
    assert jobs_of(workspace) == []


def test_a_guessed_address_is_404(service: Service, workspace: Workspace) -> None:
    url = start(workspace).body["url"]
    work_off(service)
    good = download(service, url)
    assert good.status_code == 200
    head, _, name = url.rpartition("/")
    head, _, token = head.rpartition("/")
    for wrong in (
        f"{head}/{token[:-1]}x/{name}",
        f"{head}/x/{name}",
        f"{head}/{token}/other.zip",
        f"{head[:-1]}x/{token}/{name}",
        f"{head}/{token}%00/{name}",
        f"{head}/..%2f..%2fonefold.db/{name}",
    ):
        assert download(service, wrong).status_code == 404, wrong


class Dead(BaseException):
    """The process died here."""


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("step", ["part_recorded", "part_written", "file_written", "file_named"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_process_that_dies(service: Service, workspace: Workspace, step: str, nth: int) -> None:
    """The job goes on behind what was finished, and its file is whole."""
    members(workspace, 8)
    url = start(workspace, fields_to_export=["external_id"]).body["url"]
    seen = []

    def dies(_job: Job, at: str) -> None:
        seen.append(at)
        if seen.count(step) == nth:
            raise Dead

    with job_worker(service, after_step=dies) as runner:
        if step.startswith("part") or nth == 1:
            with pytest.raises(Dead):
                runner.run_next()
    assert download(service, url).status_code in (404, 200)
    with service.database.write() as connection:
        jobs.revive(connection, times_now() + 10 * HOUR)
    work_off(service)
    assert users_of(download(service, url).content) == [{"external_id": f"u{n}"} for n in range(8)]
    (job,) = jobs_of(workspace)
    assert (job["state"], job["users"]) == ("done", 8)
    assert files(service, workspace) == [".zip"]


def test_a_job_that_always_dies_has_failed(service: Service, workspace: Workspace) -> None:
    members(workspace, 1)
    url = start(workspace).body["url"]

    def dies(_job: Job, _at: str) -> None:
        raise Dead

    for _ in range(jobs.MAX_ATTEMPTS):
        with job_worker(service, after_step=dies) as runner, pytest.raises(Dead):
            runner.run_next()
        with service.database.write() as connection:
            jobs.revive(connection, times_now() + 10 * HOUR)
    assert work_off(service) == []
    (job,) = jobs_of(workspace)
    assert (job["state"], job["error"], job["attempts"]) == ("failed", "interrupted", jobs.MAX_ATTEMPTS)
    assert download(service, url).status_code == 404


@pytest.mark.usefixtures("small_parts")
def test_a_cancelled_job_stops(service: Service, workspace: Workspace) -> None:
    members(workspace, 8)
    url = start(workspace).body["url"]
    (queued,) = jobs_of(workspace)

    def cancel(_job: Job, at: str) -> None:
        if at == "part_written":
            workspace.service.send("DELETE", f"/v1/jobs/{queued['id']}", None, workspace.headers())

    assert work_off(service, after_step=cancel) == ["lost"]
    (job,) = jobs_of(workspace)
    assert job["state"] == "cancelled"
    assert download(service, url).status_code == 404


@pytest.mark.parametrize("fails", [False, True], ids=["goes on", "fails"])
@pytest.mark.parametrize("step", ["part_recorded", "part_written", "file_written"])
def test_a_holder_whose_lease_ended_does_nothing(
    service: Service, workspace: Workspace, step: str, fails: bool
) -> None:
    """It stands still while it makes the file; another one makes it; then it goes on, or fails."""
    members(workspace, 2)
    url = start(workspace).body["url"]
    meanwhile: list[str] = []

    def stands(_job: Job, at: str) -> None:
        if at == step and not meanwhile:
            meanwhile.append("")
            with service.database.write() as connection:
                jobs.revive(connection, times_now() + 10 * HOUR)
            meanwhile.extend(work_off(service))
            if fails:
                raise JobFailedError(TIME_LIMIT)

    assert work_off(service, after_step=stands) == ["lost"]
    assert meanwhile == ["", "done"]
    assert len(users_of(download(service, url).content)) == 2


LIMITS = [
    ({"file_bytes": 10}, "file_too_large"),
    ({"workspace_bytes": 10}, "storage_full"),
    ({"seconds": 0.0}, "time_limit"),
]


@pytest.mark.parametrize(("limits", "error"), LIMITS)
def test_limits_of_a_job(service: Service, workspace: Workspace, limits: dict[str, Any], error: str) -> None:
    members(workspace, 3)
    start(workspace)
    assert work_off(service, **limits) == ["failed"]
    (job,) = jobs_of(workspace)
    assert (job["state"], job["error"]) == ("failed", error)
    assert files(service, workspace) == []


def test_a_disk_that_fails(service: Service, workspace: Workspace) -> None:
    members(workspace, 1)
    start(workspace)

    def fails(_job: Job, _at: str) -> None:
        raise OSError(28, "No space left on device")

    for n in range(jobs.MAX_ATTEMPTS):
        with job_worker(service, after_step=fails) as runner:
            if n < jobs.MAX_ATTEMPTS - 1:
                with pytest.raises(OSError, match="No space"):
                    runner.run_next()
            else:
                assert runner.run_next().state == "failed"
    (job,) = jobs_of(workspace)
    assert (job["state"], job["error"]) == ("failed", "disk_failed")


def test_a_file_expires(service: Service, workspace: Workspace) -> None:
    members(workspace, 1)
    url = start(workspace).body["url"]
    work_off(service, file_seconds=-1.0)
    assert download(service, url).status_code == 404
    with service.database.write() as connection:
        job_parts.expire(connection, times_now())
    (job,) = jobs_of(workspace)
    assert "url" not in job
    assert "bytes" not in job


def delete(workspace: Workspace, external_id: str) -> None:
    assert workspace.post("/users/delete", {"external_ids": [external_id]}).status == 201


def test_a_deletion_ends_a_file_that_has_the_person(service: Service, workspace: Workspace) -> None:
    members(workspace, 3)
    url = start(workspace).body["url"]
    work_off(service)
    delete(workspace, "other")
    assert download(service, url).status_code == 200
    delete(workspace, "u1")
    assert download(service, url).status_code == 404
    expire(service)
    assert files(service, workspace) == []
    url = start(workspace, fields_to_export=["external_id"]).body["url"]
    work_off(service)
    assert users_of(download(service, url).content) == [{"external_id": "u0"}, {"external_id": "u2"}]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("step", ["part_recorded", "part_written", "file_written"])
@pytest.mark.parametrize("gone", [["u0"], ["u4"], ["u7"], ["u0", "u1", "u2"]])
def test_a_deletion_while_the_job_runs(service: Service, workspace: Workspace, step: str, gone: list[str]) -> None:
    members(workspace, 8)
    url = start(workspace, fields_to_export=["external_id"]).body["url"]
    done: list[bool] = []

    def meanwhile(_job: Job, at: str) -> None:
        if at == step and not done:
            done.append(True)
            for external_id in gone:
                delete(workspace, external_id)

    assert work_off(service, after_step=meanwhile) == ["done"]
    left = [f"u{n}" for n in range(8) if f"u{n}" not in gone]
    assert users_of(download(service, url).content) == [{"external_id": external_id} for external_id in left]
    (job,) = jobs_of(workspace)
    assert job["users"] == len(left)


class _Hook(ThreadingHTTPServer):
    daemon_threads = True
    told: list[Json]
    statuses: list[int]


class _Handler(BaseHTTPRequestHandler):
    server: _Hook

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def hook() -> Iterator[_Hook]:
    found = _Hook(("127.0.0.1", 0), _Handler)
    found.told, found.statuses = [], []
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def _out() -> HttpOut:
    return HttpOut(allow_private=True, resolve=lambda _host, _port: ["127.0.0.1"])


def test_the_callback_is_told_until_it_listens(service: Service, workspace: Workspace, hook: _Hook) -> None:
    members(workspace, 1)
    hook.statuses = [500]
    callback = f"http://hooks.example.org:{hook.server_port}/done"
    url = start(workspace, callback_endpoint=callback).body["url"]
    work_off(service, out=_out())
    (job,) = jobs_of(workspace)
    assert job["callback"] == {"state": "due", "tries": 1}
    with service.database.write() as connection:
        connection.exec_driver_sql("update job set callback_us = 0 where callback = 'due'")
    work_off(service, out=_out())
    (job,) = jobs_of(workspace)
    assert job["callback"] == {"state": "delivered", "tries": 2}
    assert hook.told == [{"success": True, "url": url}] * 2


def test_a_callback_that_never_listens_is_left(service: Service, workspace: Workspace, hook: _Hook) -> None:
    hook.statuses = [500] * 9
    start(workspace, callback_endpoint=f"http://hooks.example.org:{hook.server_port}/")
    for _ in range(9):
        work_off(service, out=_out(), seconds=-1.0)
        with service.database.write() as connection:
            connection.exec_driver_sql("update job set callback_us = 0 where callback = 'due'")
    (job,) = jobs_of(workspace)
    assert (job["state"], job["callback"]) == ("failed", {"state": "failed", "tries": 5})
    assert hook.told == [{"success": False}] * 5


def test_callbacks_that_are_due_hold_up_no_job(service: Service, workspace: Workspace, hook: _Hook) -> None:
    hook.statuses = [500] * 9
    for _ in range(3):
        start(workspace, callback_endpoint=f"http://hooks.example.org:{hook.server_port}/")
        work_off(service, out=_out())
    with service.database.write() as connection:
        connection.exec_driver_sql("update job set callback_us = 0 where callback = 'due'")
    hook.told.clear()
    start(workspace)
    with job_worker(service, out=_out()) as runner:
        summary = runner.run_next()
        assert (summary.state, summary.callbacks, summary.more, len(hook.told)) == ("done", 2, True, 2)
        summary = runner.run_next()
    assert (summary.job, summary.callbacks, summary.more, len(hook.told)) == ("", 1, False, 3)


def test_a_callback_by_name_to_this_machine_is_refused(service: Service, workspace: Workspace, hook: _Hook) -> None:
    start(workspace, callback_endpoint=f"http://localhost:{hook.server_port}/")
    assert work_off(service) == ["done"]
    assert hook.told == []


def test_the_directory_is_private(service: Service, workspace: Workspace) -> None:
    start(workspace)
    work_off(service)
    folder: Path = service.settings.files_directory() / str(workspace.id)
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
