"""Faults of job workers: a file is whole, or its job has failed, whatever is killed while it is made."""

import gzip
import io
import json
import zipfile
from contextlib import suppress
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil

from app.domain.profile import EXTERNAL, GLOBAL_CONTROL_GROUP, Profile
from app.domain.state import State
from app.store.profiles.save import save
from fault.clients import LoadPlan
from fault.processes import Program, words
from fault.proxy import HOST
from fault.rounds import Round, Scenario
from fault.stack import SCRIPTS, Layout, Workspace
from tests.polling import gone, until

PEOPLE: Final = 30_000
DONE_SECONDS: Final = 120.0
#: Of the attributes of each of them, so that a part takes some time.
TEXT: Final = "x" * 400
_ONEFOLD: Final = str(SCRIPTS / "onefold")


def kill_job_worker(now: Round) -> None:
    """38: SIGKILL for the job worker while it makes a file of many parts, several times, and a new start."""
    site = now.stack.workspace("legacy", None)
    people(now, site)
    worker = now.stack.nodes[1]
    started = now.call(site, "POST", "/users/export/global_control_group", {"output_format": _form(now)})
    id_ = started["object_prefix"].rpartition("-")[0]
    for _ in range(now.rng.randint(1, 3)):
        before = int(_job(now, site, id_)["progress"])
        # In another part than the last blow, at a moment of our choice; or while the file is made of its parts.
        wanted = min(PEOPLE, before + now.rng.choice((1, 1, 5_000, 15_000, PEOPLE)))
        until(lambda wanted=wanted: _stands(now, site, id_, wanted), DONE_SECONDS, message="the job stays")  # type: ignore[misc]
        now.pause(0.0, 0.1)
        now.hit(_killed(now, worker) and _job(now, site, id_)["state"] == "running")
        now.stack.start_one(worker)
        now.stack.wait_for_node(worker)
    until(lambda: _job(now, site, id_)["state"] in ("done", "failed"), DONE_SECONDS, message="the job does not end")
    job = _job(now, site, id_)
    now.notes["attempts"] = float(job["attempts"])
    _judge(now, job, started["url"])


def _stands(now: Round, site: Workspace, id_: str, wanted: int) -> bool:
    job = _job(now, site, id_)
    return job["state"] in ("done", "failed") or (job["state"] == "running" and job["progress"] >= wanted)


def _killed(now: Round, worker: Program) -> bool:
    """Kill the process that works, or all of the worker. False when there was nothing to kill."""
    if now.rng.random() < 0.5:
        worker.kill9()
        return True
    family = [process for process in worker.family() if "-A" in words(process)]
    if len(family) < 2:
        return False
    with suppress(psutil.NoSuchProcess):
        family[-1].kill()
        until(lambda: gone(family[-1].pid), message="it lives on")
    worker.kill9()  # else it takes the next job by itself, which is no fault
    return True


def _judge(now: Round, job: dict[str, Any], url: str) -> None:
    """A whole file, or a clear failure."""
    status, content = _get(now, url)
    if job["state"] == "failed":
        if not job.get("error"):
            now.blame("job: failed, and does not say why")
        if status != 404:
            now.blame(f"job: failed, and its file is {status}")
        return
    if status != 200:
        now.blame(f"job: done, and its file is {status}")
        return
    if content[:2] == b"\x1f\x8b":
        lines = gzip.decompress(content).splitlines()
    else:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            lines = [line for name in archive.namelist() for line in archive.read(name).splitlines()]
    found = sorted(json.loads(line)["external_id"] for line in lines)
    if found != sorted(f"p{n}" for n in range(PEOPLE)):
        now.blame(f"file: {len(found)} lines, {len(set(found))} people, {PEOPLE} wanted")


def people(now: Round, site: Workspace) -> None:
    """A workspace of its own with the control group: how it was filled is not what is looked at."""
    state = State(complete=True)
    for n in range(1, PEOPLE + 1):
        profile = Profile(
            n, f"{n:024x}", 1, 1, 0, flags=GLOBAL_CONTROL_GROUP, core={}, custom={"text": TEXT}, events={},
            purchases={}, devices={}, messages={}, commerce={},
        )  # fmt: skip
        state.create(profile)
        profile.external_id = f"p{n - 1}"
        state.add_identifier(profile, (EXTERNAL, "", profile.external_id))
    with now.stack.database.write() as connection:
        save(connection, site.id, state, {})


def _form(now: Round) -> str:
    return now.rng.choice(("zip", "gzip"))


def _job(now: Round, site: Workspace, id_: str) -> dict[str, Any]:
    job: dict[str, Any] = now.call(site, "GET", f"/v1/jobs/{id_}")["job"]
    return job


def _get(now: Round, url: str) -> tuple[int, bytes]:
    try:
        with urlopen(f"http://{HOST}:{now.stack.ports[0]}{urlsplit(url).path}", timeout=30) as response:
            return response.status, response.read()
    except HTTPError as error:
        with error:
            return error.code, b""


SCENARIOS: Final = (
    Scenario(
        38,
        "job worker killed",
        "the job was running when its worker was killed",
        kill_job_worker,
        layout=Layout(node_programs=((_ONEFOLD, "worker", "--workers", "1"), (_ONEFOLD, "jobs", "run"))),
        load=LoadPlan(clients=2, rate=20),
    ),
)
