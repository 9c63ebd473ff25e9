"""Files that are sent for an import: received, worked on by a job, each row once, and nothing is left of them."""

import gzip
import io
import itertools
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.domain import times
from app.store import jobs as store
from app.store.jobs import Job
from tests.api.harness import Answer, Json, Service, Workspace, times_now
from tests.api.jobs import download, jobs_of, work_off
from tests.api.traces import everything
from workers.jobs.upkeep import Upkeep

NDJSON = "application/x-ndjson"


def lines_of(*documents: object) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in documents)


def user(name: str, **attributes: object) -> Json:
    return {"external_id": name, "custom_attributes": attributes}


def send(workspace: Workspace, content: bytes, query: str = "", media_type: str = NDJSON) -> Answer:
    return workspace.service.send(
        "POST", f"/v1/imports{query}", content, {**workspace.headers(), "Content-Type": media_type}, workspace.key
    )


def import_of(workspace: Workspace, content: bytes, query: str = "", media_type: str = NDJSON, **options: Any) -> Json:
    """The job of a file, after it was worked off, and a drain."""
    answer = send(workspace, content, query, media_type)
    assert answer.status == 202, answer.text
    draining(workspace, **options)
    return shown(workspace, answer.body["job"]["id"])


def draining(workspace: Workspace, **options: Any) -> list[str]:
    """Work off all jobs; what they send is applied at once."""
    service = workspace.service
    return work_off(service, ring=lambda stream: service.drain(stream[0]), **options)


def shown(workspace: Workspace, id_: str) -> Json:
    answer = workspace.service.send("GET", f"/v1/jobs/{id_}", None, workspace.headers(), workspace.key)
    return dict(answer.body["job"])


def zipped(content: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, line in enumerate(content.splitlines()):
            archive.writestr(f"segment/{n:05}.txt", line)
    return held.getvalue()


def left_of(workspace: Workspace) -> list[str]:
    """The files of the workspace."""
    folder = workspace.service.settings.files_directory() / str(workspace.id)
    return sorted(path.suffix for path in folder.iterdir()) if folder.exists() else []


USERS = lines_of(*(user(f"u{n}", n=n) for n in range(3)))
TABLE = b"external_id,n\nu0,0\nu1,1\nu2,2\n"
TYPED = '?name=crm.csv&mapping={"external_id":"external_id","custom_attributes.n":{"column":"n","type":"integer"}}'


@pytest.mark.parametrize(
    ("content", "media_type", "query"),
    [
        (USERS, NDJSON, ""),
        (gzip.compress(USERS), "application/gzip", ""),
        (zipped(USERS), "application/zip", "?name=segment.zip"),
        (zipped(USERS), "application/octet-stream", ""),
        (TABLE, "text/csv; charset=utf-8", TYPED),
        (gzip.compress(TABLE), "application/octet-stream", TYPED.replace(".csv", ".csv.gz")),
        (json.dumps({"users": [json.loads(line) for line in USERS.splitlines()]}).encode(), NDJSON, "?name=a.json"),
    ],
    ids=["lines", "gzip", "zip", "bytes", "csv", "csv.gz", "json"],
)
def test_forms_of_files(workspace: Workspace, content: bytes, media_type: str, query: str) -> None:
    """All that the command takes. The same file again changes nothing."""
    job = import_of(workspace, content, query, media_type)
    report = {"taken": {"users": 3}, "imported_before": 0, "refused": 0, "left_out": []}
    assert (job["kind"], job["state"], job["import"], job["progress"]) == ("import", "done", report, 3)
    assert [found["custom_attributes"] for found in workspace.stored()] == [{"n": n} for n in range(3)]
    assert left_of(workspace) == []
    before = workspace.state().profiles
    again = import_of(workspace, content, query, media_type)
    assert again["import"] == report | {"imported_before": 3}
    assert workspace.state().profiles == before


def test_what_is_refused_can_be_downloaded(workspace: Workspace) -> None:
    """File, line and reason, and never a value; for whoever may import."""
    bad = [b"nonsense secret", b'{"external_id": ""}', b'{"external_id": "x", "braze_id": 7, "dob": "never"}']
    job = import_of(workspace, b"\n".join([*bad, USERS]), "?name=people.ndjson")
    assert job["import"]["refused"] == 2
    assert {"field": "dob", "reason": "invalid_value", "count": 1} in job["import"]["left_out"]
    content = download(workspace.service, job["url"]).content
    told = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert [(one["file"], one["line"]) for one in told] == [("people.ndjson", 1), ("people.ndjson", 2)]
    assert "secret" not in str(told)
    key = workspace.service.key(workspace.id, "admin.jobs")
    (seen,) = workspace.service.send("GET", "/v1/jobs", None, {"Authorization": f"Bearer {key}"}).body["jobs"]
    assert "url" not in seen


def test_a_dry_run_and_overwriting(workspace: Workspace) -> None:
    workspace.track({"attributes": [{"external_id": "u0", "n": "here"}]})
    before = workspace.state().profiles
    job = import_of(workspace, USERS, "?dry_run=true")
    assert (job["import"]["taken"], job["import"]["known_users"]) == ({"users": 3}, 1)
    assert workspace.state().profiles == before
    import_of(workspace, USERS)
    assert workspace.user("u0")["custom_attributes"] == {"n": "here"}
    import_of(workspace, USERS, "?overwrite=true")
    assert workspace.user("u0")["custom_attributes"] == {"n": 0}


class Killed(BaseException):
    """The process of a worker ends here."""


def test_a_worker_that_is_killed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind each portion, with what was refused before it: each event once, and the report is of the whole file."""
    monkeypatch.setattr("app.services.imports.PORTION", 3)
    events = [{"external_id": "ann", "name": "view", "time": "2026-11-20T10:00:00Z"} for _ in range(10)]
    id_ = send(workspace, b"\n".join([b"nonsense", lines_of(*events), b"[]"])).body["job"]["id"]
    kills = 0

    def kill(_job: Job, step: str) -> None:
        nonlocal kills
        if step == "portion_sent" and kills < 3:
            kills += 1
            raise Killed

    for _ in range(4):
        try:
            assert draining(workspace, after_step=kill) == ["done"]
        except Killed:
            with workspace.service.database.write() as connection:
                store.revive(connection, times_now() + times.DAY)
    job = shown(workspace, id_)
    assert (job["state"], job["attempts"], kills) == ("done", 4, 3)
    assert (job["import"]["taken"], job["import"]["refused"]) == ({"events": 10}, 2)
    workspace.drain()
    [found] = workspace.stored()
    assert found["custom_events"][0]["count"] == 10


def test_a_file_beside_another_run_of_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits, and then it has nothing left to do."""
    monkeypatch.setattr("workers.jobs.importing._OTHER_RUN_US", 0)
    monkeypatch.setattr("app.services.imports.PORTION", 1)
    ids = [send(workspace, USERS).body["job"]["id"] for _ in range(2)]
    states: list[str] = []

    def other(job: Job, step: str) -> None:
        if step == "portion_sent" and job.id == ids[0] and not states:
            states.append("")
            states.extend(draining(workspace))

    draining(workspace, after_step=other)
    assert {shown(workspace, id_)["state"] for id_ in ids} == {"done"}
    assert [found["custom_attributes"] for found in workspace.stored()] == [{"n": n} for n in range(3)]


@pytest.mark.parametrize(
    ("content", "media_type", "query", "status"),
    [
        (b"", NDJSON, "", 400),
        (USERS, NDJSON, "?kind=people", 400),
        (USERS, NDJSON, "?overwrite=yes", 400),
        (USERS, NDJSON, "?name=a/b.csv", 400),
        (USERS, NDJSON, "?name=%00", 400),
        (USERS, NDJSON, "?other=1", 400),
        (USERS, "text/csv", "?mapping={}", 400),
        (USERS, "text/csv", "?mapping=[", 400),
        (USERS, "text/html", "", 415),
        (USERS * 8_000, NDJSON, "", 413),
    ],
)  # fmt: skip
def test_refused_files(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    media_type: str,
    query: str,
    status: int,
) -> None:
    """Nothing of them is kept, and no job is under way."""
    uploads = workspace.service.services.uploads
    monkeypatch.setattr(uploads, "bounds", replace(uploads.bounds, file_bytes=1_000_000))
    assert send(workspace, content, query, media_type).status == status
    assert {job["state"] for job in jobs_of(workspace)} <= {"cancelled"}
    assert left_of(workspace) == []


@pytest.mark.parametrize(
    ("content", "media_type", "query"),
    [
        (b"PK\x03\x04damaged", "application/zip", ""),
        (b"\x1f\x8bdamaged", "application/gzip", ""),
        (gzip.compress(b"\n" * 15_000_000), "application/gzip", ""),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(gzip.compress(USERS))))), "application/gzip", ""),
        (b'external_id\n"' + b"x" * 5_000_000, "text/csv", ""),
        (b"[" + b"1,\n" * 3_000_000 + b"1]", NDJSON, ""),
        (b"a\n\xff\n", "text/csv", ""),
    ],
    ids=["zip", "gzip", "much in little", "packed too often", "a long line", "a large document", "no text"],
)  # fmt: skip
def test_files_that_cannot_be_read(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, content: bytes, media_type: str, query: str
) -> None:
    bounded = workspace.service.settings.model_copy(update={"max_import_unpacked_megabytes": 12})
    monkeypatch.setattr(workspace.service, "settings", bounded)
    job = import_of(workspace, content, query, media_type)
    assert (job["state"], job["error"]) == ("failed", "unreadable_file")
    assert left_of(workspace) == []


def test_a_zip_of_very_many_files(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.bootstrap.background.IMPORT_DIRECTORY_BYTES", 100)
    assert import_of(workspace, zipped(USERS), "", "application/zip")["error"] == "unreadable_file"


def test_a_file_that_does_not_arrive(workspace: Workspace) -> None:
    """The process that received it died: its job ends, and what it wrote goes."""
    service = workspace.service
    id_ = send(workspace, USERS).body["job"]["id"]
    service_files = service.settings.files_directory() / str(workspace.id)
    upload = service_files / f"{id_}.upload"
    upload.rename(upload.with_name(f"{upload.name}.0000.tmp"))
    assert draining(workspace) == ["failed"]
    assert shown(workspace, id_)["error"] == "upload_incomplete"
    assert left_of(workspace) == []


def test_nobody_takes_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file waits for a day."""
    monkeypatch.setattr("workers.jobs.upkeep.EXPIRE_S", -1.0)
    service = workspace.service
    id_ = send(workspace, USERS).body["job"]["id"]
    for hours, state in ((23, "queued"), (25, "failed")):
        now_us = times_now() + hours * times.HOUR
        Upkeep(service.database, service._bell, itertools.repeat(now_us).__next__).look()
        assert shown(workspace, id_)["state"] == state
    assert work_off(service) == []


def test_the_space_of_a_workspace(workspace: Workspace) -> None:
    """Files that wait count."""
    id_ = send(workspace, USERS).body["job"]["id"]
    with workspace.service.database.write() as connection:
        most = workspace.service.settings.max_workspace_file_megabytes * 1024 * 1024
        connection.execute(text("update job set bytes = :bytes where id = :id"), {"bytes": most, "id": id_})
    answer = send(workspace, USERS)
    assert answer.status == 400, answer.text
    assert "space" in answer.message
    assert draining(workspace) == ["done"]


def test_cancelled(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is imported stays, and the file goes."""
    monkeypatch.setattr("app.services.imports.PORTION", 1)
    monkeypatch.setattr("workers.jobs.importing._PROGRESS_SECONDS", -1.0)
    id_ = send(workspace, USERS).body["job"]["id"]

    def cancel(_job: Job, step: str) -> None:
        if step == "portion_sent":
            workspace.service.send("DELETE", f"/v1/jobs/{id_}", None, workspace.headers(), workspace.key)

    assert draining(workspace, after_step=cancel) == ["lost"]
    assert shown(workspace, id_)["state"] == "cancelled"
    assert len(workspace.stored()) == 1


def test_a_deletion_leaves_nothing_of_the_person(service: Service, workspace: Workspace) -> None:
    """Deleted while the file waits: the job leaves the person out, and neither tables nor files know of them."""
    workspace.track({"attributes": [{"external_id": "xyzzy", "email": "xyzzy@example.org"}]})
    braze_id = str(workspace.export(external_ids=["xyzzy"])[0]["braze_id"])
    rows = lines_of(
        user("xyzzy", secret="xyzzy"),
        {"braze_id": braze_id, "custom_attributes": {"secret": "xyzzy"}},
        {"external_id": "xyzzy", "name": "view", "time": "2026-11-20T10:00:00Z"},
        user("other", n=1),
    )
    id_ = send(workspace, rows).body["job"]["id"]
    assert ".upload" in {where for where, found in everything(service, workspace).items() if "xyzzy" in found}
    workspace.post("/users/delete", {"external_ids": ["xyzzy"]})
    assert draining(workspace) == ["done"]
    job = shown(workspace, id_)
    assert (job["import"]["taken"], job["import"]["refused"]) == ({"users": 1}, 3)
    assert [found["external_id"] for found in workspace.stored()] == ["other"]
    after = everything(service, workspace)
    assert {where for where, found in after.items() if "xyzzy" in found or braze_id in found} == set()
    assert after["job_part"] == ""


def test_the_permission(workspace: Workspace) -> None:
    key = workspace.service.key(workspace.id, "users.track", "admin.profiles")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": NDJSON}
    assert workspace.service.send("POST", "/v1/imports", USERS, headers).status == 403
