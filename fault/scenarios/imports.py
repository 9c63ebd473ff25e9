"""Faults of imports: each row of a file once, whatever is killed while it comes, is read, or is applied."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from app.adapters.clock import now_us
from app.domain import times
from app.store import keys
from fault.clients import LoadPlan
from fault.processes import Program
from fault.proxy import HOST
from fault.rounds import Round, Scenario
from fault.stack import SCRIPTS, Layout, Workspace
from tests.polling import until
from workers import replay

#: Of each of the two files: a user and an event of the same person, so that a row that comes twice is seen.
PEOPLE: Final = 4_000
DONE_SECONDS: Final = 240.0
#: A file of the API arrives in so many parts.
PARTS: Final = 20
#: An attempt of a command that finds no database ends soon; it is tried so often.
MOST_RUNS: Final = 40
_EVENT: Final = "seen"
_ONEFOLD: Final = str(SCRIPTS / "onefold")


def kill_everybody(now: Round) -> None:
    """45: two files at once, one by the command and one through the API. SIGKILL for the command twice, for the process
    that works on the job, the applying process, PostgreSQL, and mostly the API while the file comes."""
    site = now.stack.workspace("legacy", None)
    sent, kept = _file(now, "sent", 0), _file(now, "kept", PEOPLE)
    id_ = _sent(now, site, sent)
    command = _Command(now, site, kept)
    command.start()
    blows: list[Callable[[], None]] = [
        lambda: _kill_command(now, command),
        lambda: _kill_command(now, command),
        lambda: _kill_job(now, site, id_),
        lambda: now.hit(now.kill_forked(jobs=False) and not _is_over(now, site, id_, command)),
        lambda: _kill_database(now, site, id_, command),
    ]
    now.rng.shuffle(blows)
    for blow in blows:
        now.pause(0.1, 0.8)
        blow()
    until(lambda: _is_over(now, site, id_, command), DONE_SECONDS, message="the imports do not end")
    now.notes["runs of the command"] = float(command.runs)
    _judge(now, site, id_)


class _Command(threading.Thread):
    """`onefold import` of a file, begun again until it has imported all of it."""

    def __init__(self, now: Round, site: Workspace, file: Path) -> None:
        super().__init__(daemon=True)
        name = keys.of_workspace(now.stack.database, site.id).workspace_name
        words = (_ONEFOLD, "import", str(file), "--workspace", name, "--data-dir", str(now.stack.folder))
        log = now.stack.folder / "import.log"
        self.program = Program("import", words, now.stack.environment("node"), log)
        self.runs = 0
        self.done = False

    def run(self) -> None:
        while not self.done and self.runs < MOST_RUNS:
            self.runs += 1
            self.program.start()
            self.done = self.program.ended() == 0


def _kill_command(now: Round, command: _Command) -> None:
    was = command.program.running and not command.done
    with suppress(ProcessLookupError):
        command.program.signal_kill()
    now.hit(was)


def _kill_job(now: Round, site: Workspace, id_: str) -> None:
    until(lambda: _state(now, site, id_) != "queued", DONE_SECONDS, message="nobody takes the job")
    was = _state(now, site, id_) == "running"
    now.hit(now.kill_forked(jobs=True) and was)


def _kill_database(now: Round, site: Workspace, id_: str, command: _Command) -> None:
    server = now.stack.postgres
    assert server is not None
    was = not _is_over(now, site, id_, command)
    server.kill9()
    now.pause(0.2, 0.6)
    server.start()
    now.stack.wait_until_ready()
    now.hit(was)


def _is_over(now: Round, site: Workspace, id_: str, command: _Command) -> bool:
    over = _state(now, site, id_) in ("done", "failed", "cancelled")
    return over and (command.done or not command.is_alive())


def _state(now: Round, site: Workspace, id_: str) -> str:
    """As the API has it, once it answers."""
    return str(_answered(lambda: now.call(site, "GET", f"/v1/jobs/{id_}"))["job"]["state"])


def _answered(call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    ends = time.monotonic() + 30.0
    while True:
        try:
            return call()
        except (OSError, HTTPException):
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


def _file(now: Round, name: str, first: int) -> Path:
    """A file of people, in an order of its own: each with a user and an event."""
    rows: list[dict[str, Any]] = []
    when = times.iso(now_us() - times.DAY)  # what an export still shows
    for n in range(first, first + PEOPLE):
        rows.append({"external_id": f"i{n}", "custom_attributes": {"n": n}})
        rows.append({"external_id": f"i{n}", "name": _EVENT, "time": when})
    blocks = [rows[at : at + 400] for at in range(0, len(rows), 400)]
    now.rng.shuffle(blocks)
    path = now.stack.folder / f"{name}-{now.seed}.ndjson"
    path.write_text("".join(json.dumps(row) + "\n" for block in blocks for row in block))
    return path


def _sent(now: Round, site: Workspace, file: Path) -> str:
    """The job of a file that is sent. Mostly the API is killed while the file comes, and then it is sent again."""
    if now.rng.random() < 0.7:
        api, part = now.stack.apis[0], now.rng.randrange(1, PARTS)
        with suppress(OSError, HTTPException):
            _send(now, site, file, lambda n: api.kill9() if n == part else None)
            now.blame("import: a file was taken by an API that was killed")
        now.hit(not api.running)
        now.stack.start_one(api)
        now.stack.wait_until_ready()
    return _send(now, site, file, lambda _n: None)


def _send(now: Round, site: Workspace, file: Path, before: Callable[[int], None]) -> str:
    content = file.read_bytes()
    connection = HTTPConnection(HOST, now.stack.ports[0], timeout=30)
    try:
        connection.putrequest("POST", "/v1/imports?name=sent.ndjson")
        connection.putheader("Authorization", f"Bearer {site.key}")
        connection.putheader("Content-Type", "application/x-ndjson")
        connection.putheader("Content-Length", str(len(content)))
        connection.endheaders()
        size = len(content) // PARTS + 1
        for n in range(PARTS):
            before(n)
            connection.send(content[n * size : (n + 1) * size])
        answer = connection.getresponse()
        document = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != 202:
        now.blame(f"import: a file was answered {answer.status}")
    return str(document["job"]["id"])


def _judge(now: Round, site: Workspace, id_: str) -> None:
    """Every person once, with one event, and as the reference has it."""
    job = _answered(lambda: now.call(site, "GET", f"/v1/jobs/{id_}"))["job"]
    now.notes["attempts"] = float(job["attempts"])
    taken = job.get("import", {}).get("taken")
    if job["state"] != "done" or taken != {"users": PEOPLE, "events": PEOPLE}:
        now.blame(f"import: the job is {job['state']} ({job.get('error')}), and took {taken}")
    until(lambda: now.stack.behind(site.id) == 0, DONE_SECONDS, message="the rows are not applied")
    now.findings += [
        f"import: {difference}" for difference in replay.differences(now.stack.database, site.id, site.secret)
    ]
    wrong, seen = 0, 0
    for first in range(0, 2 * PEOPLE, 50):
        names = [f"i{n}" for n in range(first, first + 50)]
        wanted = {"external_ids": names, "fields_to_export": ["external_id", "custom_attributes", "custom_events"]}
        for user in _answered(lambda wanted=wanted: now.call(site, "POST", "/users/export/ids", wanted))["users"]:  # type: ignore[misc]
            seen += 1
            counts = {event["name"]: event["count"] for event in user.get("custom_events", ())}
            wrong += (user["custom_attributes"], counts) != ({"n": int(user["external_id"][1:])}, {_EVENT: 1})
    if seen != 2 * PEOPLE or wrong:
        now.blame(f"import: {seen} people of {2 * PEOPLE}, {wrong} of them not as they were sent")


SCENARIOS: Final = (
    Scenario(
        45,
        "imports: command, job worker, applying process, API and PostgreSQL killed",
        "a file was still to be imported",
        kill_everybody,
        layout=Layout(node_programs=((_ONEFOLD, "worker", "--workers", "1"), (_ONEFOLD, "jobs", "run"))),
        load=LoadPlan(clients=1, rate=5),
        lag_seconds=15.0,
        may_break=True,
    ),
)
