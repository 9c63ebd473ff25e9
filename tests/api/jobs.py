"""Jobs in tests: a job worker without Celery, and the files that it makes."""

import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.adapters.http_out import HttpOut
from app.bootstrap import background
from app.store import job_parts
from app.store.jobs import Job
from tests.api.harness import Json, Service, Workspace, times_now
from workers.jobs.run import Limits, Runner
from workers.jobs.upkeep import tidy
from workers.jobs.works import works


@contextmanager
def job_worker(
    service: Service,
    after_step: Callable[[Job, str], None] = lambda _job, _step: None,
    out: HttpOut | None = None,
    ring: Callable[[tuple[int, int]], None] = lambda _stream: None,
    **limits: Any,
) -> Iterator[Runner]:
    """The parts of a job worker; `after_step` is called where it hurts most, `ring` where requests were queued."""
    _, database = background.job_runner(service.settings)
    parts = replace(background.job_parts(service.settings, database), after_step=after_step, ring=ring)
    if limits:
        parts = replace(parts, limits=replace(parts.limits, **limits))
    assert isinstance(parts.limits, Limits)
    try:
        yield Runner(
            parts,
            works(background.begin_import(service.settings, database)),
            out or background.http_out(service.settings),
        )
    finally:
        database.dispose()


def work_off(service: Service, **options: Any) -> list[str]:
    """Work on everything that is queued: the states of the jobs, in the order in which they were worked on."""
    states = []
    with job_worker(service, **options) as runner:
        while (summary := runner.run_next()).job:
            states.append(summary.state)
    return states


def download(service: Service, url: str, **headers: str) -> httpx.Response:
    """GET the file of a job, without a key."""
    path = urlsplit(url).path
    response = service.loop.run(service._client.get(path, headers=headers))
    document = response.json() if response.status_code >= 400 else None
    if not path.endswith(".gz"):
        service.conformity.check("GET", path, response.status_code, response.headers, document)
    return response


def users_of(content: bytes) -> list[Json]:
    """The users in a zip of JSON lines, or in a gzip."""
    if content[:2] == b"\x1f\x8b":
        text = gzip.decompress(content)
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            text = b"".join(archive.read(name) for name in archive.namelist())
    assert not text or text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def jobs_of(workspace: Workspace, query: str = "") -> list[Json]:
    answer = workspace.service.send("GET", f"/v1/jobs{query}", None, workspace.headers(), workspace.key)
    assert answer.status == 200, answer.text
    return list(answer.body["jobs"])


def expire(service: Service) -> None:
    """What sweeper and job worker do once a minute."""
    with service.database.write() as connection:
        job_parts.expire(connection, times_now())
    tidy(service.database, background.files(service.settings), times_now)
