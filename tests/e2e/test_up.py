"""`onefold up` as a user meets it: one command, a curl line that works when pasted, everything back after a death."""

import base64
import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import pytest

from app.adapters import forking
from tests.e2e.service import ONEFOLD, Service, command, environment, up
from tests.polling import gone, until
from tests.servers import PostgresServer, ValkeyServer, free_port

Command = Callable[..., subprocess.CompletedProcess[str]]
TRACK = {"attributes": [{"external_id": "eve", "logins": {"inc": 1}}]}


@pytest.fixture
def cli(forked_onefold: str) -> Command:
    """Runs the command line. `up` alone starts as users start it."""
    return partial(command, forked_onefold)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One `onefold up` with everything, for several tests: the last of them kills it."""
    data = tmp_path_factory.mktemp("running") / "data"
    data.mkdir()
    (data / "flower.auth").write_text("")  # as a crash may leave it
    with up(data, flower=True, env={"ONEFOLD_CANARY_SECONDS": "1"}) as service:
        yield service


def logins(service: Service) -> int:
    _, answer, _ = service.call("POST", "/users/export/ids", {"external_ids": ["eve"]})
    return int(answer["users"][0]["custom_attributes"]["logins"]) if answer["users"] else 0


def metrics(service: Service, token: str) -> list[str]:
    asked = Request(service.url + "/metrics", headers={"Authorization": f"Bearer {token}"})
    with urlopen(asked, timeout=5) as response:
        return str(response.read().decode()).splitlines()


def test_the_pasted_curl_line_makes_a_profile_that_shows_at_once(tmp_path: Path, cli: Command) -> None:
    data = tmp_path / "a dir ?with=all&that %25 #means [some]*thing, 'somewhere\" ü"
    data.mkdir(mode=0o755)
    with up(data) as service:
        track, export = (line for line in service.output.splitlines() if line.startswith("curl"))
        done = subprocess.run(["bash", "-c", track], capture_output=True, text=True, timeout=30, check=True)
        assert done.stdout.startswith("HTTP/1.1 201 ")
        assert done.stdout.endswith('{"attributes_processed":1,"message":"success"}')
        shown = json.loads(subprocess.check_output(["bash", "-c", export], timeout=30))
        (user,) = shown["users"]
        assert (user["external_id"], user["first_name"], user["custom_attributes"]) == ("ada", "Ada", {"tier": "gold"})
        assert stat.S_IMODE((data / "default.key").stat().st_mode) == 0o600
        assert service.key == (data / "default.key").read_text().strip()
        assert (data / "onefold.db").exists()
        opened = [path for path in data.rglob("*") if path.lstat().st_mode & 0o077 and path.name != "up.log"]
        assert opened == []  # the directory was there before, with the rights of any other
        for path in ("/livez", "/readyz"):
            with urlopen(service.url + path, timeout=5) as response:
                assert (response.status, json.loads(response.read())) == (200, {"message": "success"})
        with pytest.raises(HTTPError, match="401"):
            urlopen(service.url + "/metrics", timeout=5)
        token = (data / "metrics.token").read_text().strip()
        assert stat.S_IMODE((data / "metrics.token").stat().st_mode) == 0o600
        assert 'onefold_requests_total{endpoint="/users/track",status="201"} 1.0' in metrics(service, token)
        # Counted by another process, with the settings that Onefold queues for itself.
        applied = "onefold_applied_requests_total "
        until(lambda: any(line.startswith(applied) and line[-4:] != " 0.0" for line in metrics(service, token)))
        assert any("celery" in part for part in service.children("celery")[0].cmdline())
        forked = {" ".join(" ".join(child.cmdline()).split()[:2]) for child in service.children("onefold")}
        names = {f"onefold {name}:" for name in ("api", "worker", "sweeper", "jobs")}
        assert forked >= (names if forking.CAN_FORK else set())
        second = cli(data, "up", "--port", str(free_port()), "--flower-port", "0")
        assert second.returncode == 1
        assert "is in use by another Onefold" in second.stderr.replace("\n", " ")
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(30) == 0
    key = (data / "default.key").read_text()
    # A second start keeps the key and the profiles, however its processes are started.
    with up(data, env={"ONEFOLD_FORK": "false"}) as service:
        assert len(service.children("-P")) >= 4
        assert (data / "default.key").read_text() == key
        assert service.call("POST", "/users/export/ids", {"external_ids": ["ada"]})[1]["users"] == [user]


def test_flower_shows_the_worker_and_its_finished_tasks(running: Service) -> None:
    service = running

    def flower(path: str, *, signed: bool = True, auth: str | None = None) -> object:
        auth = (service.data_dir / "flower.auth").read_text().strip() if auth is None else auth
        headers = {"Authorization": "Basic " + base64.b64encode(auth.encode()).decode()} if signed else {}
        try:
            with urlopen(Request(service.flower_url + path, headers=headers), timeout=10) as response:
                return json.loads(response.read())
        except HTTPError as error:
            with error:
                return error.code
        except OSError:
            return None

    until(lambda: flower("/api/workers?refresh=1"), timeout=30, message="Flower shows no worker")
    assert flower("/api/workers", signed=False) == 401
    assert flower("/api/tasks", signed=False) == 401
    assert [flower("/api/workers", auth=auth) for auth in ("", ":", "onefold:")] == [401] * 3
    assert stat.S_IMODE((service.data_dir / "flower.auth").stat().st_mode) == 0o600
    body = {
        "attributes": [{"external_id": "flo", "n": 1}],
        "events": [{"external_id": "nobody", "_update_existing_only": True, "name": "e", "time": "2026-01-01"}],
    }
    assert service.call("POST", "/users/track", body)[0] == 201

    def finished() -> list[dict[str, str]]:
        tasks = flower("/api/tasks")
        assert isinstance(tasks, dict)
        done = [t for t in tasks.values() if t["name"] == "onefold.apply" and t["state"] == "SUCCESS"]
        return [t for t in done if "1 attributes" in t["result"]]  # others apply Onefold's own settings

    (task,) = until(finished, timeout=15, message="no finished task")
    assert (task["args"], task["kwargs"]) == ("default (1)", "normal")
    assert task["result"].startswith("'1 requests, 1 attributes, 1 skipped: profile_not_found in ")
    # All queues, whether or not anything ever was in them.
    queues = flower("/api/queues/length")
    assert isinstance(queues, dict)
    assert [one["name"] for one in queues["active_queues"]] == ["bulk", "jobs", "normal", "sync"]
    # A job has the name of its kind, whose it is, and its id.
    status, job, _ = service.call("POST", "/users/export/global_control_group", {"fields_to_export": ["email"]})
    assert status == 201, job

    def worked() -> list[dict[str, str]]:
        tasks = flower("/api/tasks?taskname=onefold.job.export_global_control_group")
        assert isinstance(tasks, dict)
        return [t for t in tasks.values() if t["state"] == "SUCCESS"]

    (task,) = until(worked, timeout=15, message="no finished job")
    assert task["args"] == "default (1)"
    assert task["result"].startswith("'export_global_control_group done: 0 done")
    assert service.call("GET", f"/v1/jobs/{task['kwargs']}")[1]["job"]["state"] == "done"
    # The canary has beaten by now, and is not among them.
    token = (service.data_dir / "metrics.token").read_text().strip()
    beats = 'onefold_canary_total{result="applied"} '
    until(lambda: any(line.startswith(beats) for line in metrics(service, token)), timeout=15)
    tasks = flower("/api/tasks")
    assert isinstance(tasks, dict)
    names = {t["name"] for t in tasks.values() if t["name"]}  # none: one that had begun before Flower listened
    assert names <= {"onefold.apply", "onefold.job", "onefold.job.export_global_control_group", "onefold.tidy_files"}
    assert {t["args"] for t in tasks.values() if t["name"] == "onefold.apply"} == {"default (1)"}


def test_workspaces_keys_and_requests_from_the_command_line(running: Service, cli: Command) -> None:
    service, data = running, running.data_dir
    made = cli(
        data,
        "workspaces",
        "create",
        "shop",
        "--plan",
        "mau_cy_24_25",
        "--hourly",
        "100",
        "--burst",
        "2",
        "--burst-window",
        "60",
    )
    assert (made.returncode, made.stdout) == (0, "workspace shop created\n")
    key = cli(
        data, "keys", "create", "--workspace", "shop", "--name", "cdp", "--permission", "users.track"
    ).stdout.strip()
    assert key.startswith("onefold_")
    statuses = [service.call("POST", "/users/track", TRACK, key)[0] for _ in range(3)]
    status, answer, headers = service.call("POST", "/users/track", TRACK, key)
    assert (statuses, status, answer) == ([201, 201, 429], 429, {"message": "Rate Limited", "limit": "burst"})
    assert 0 < int(headers["Retry-After"]) <= 60
    assert service.call("POST", "/users/export/ids", {"external_ids": ["eve"]}, key)[0] == 403
    # the other workspace has seen nothing of it
    assert service.call("POST", "/users/export/ids", {"external_ids": ["eve"]})[1]["users"] == []
    _, _, headers = service.call(
        "POST",
        "/users/track",
        {"events": [{"external_id": "x", "_update_existing_only": True, "name": "e", "time": "2026-01-01"}]},
    )
    identifier = headers["X-Request-Id"]
    _, answer, _ = service.call("GET", f"/v1/requests/{identifier}?wait=10")
    assert (answer["status"], answer["skipped"]) == (
        "applied",
        [{"input_array": "events", "index": 0, "reason": "profile_not_found"}],
    )
    shown = cli(data, "requests", "show", identifier)
    assert "applied" in shown.stdout
    assert "profile_not_found" in shown.stdout
    assert cli(data, "requests", "show", identifier, "--workspace", "shop").returncode == 1
    assert "shop" in cli(data, "workspaces", "list").stdout
    assert cli(data, "workspaces", "set", "shop", "--plan", "legacy").returncode == 0
    assert cli(data, "keys", "revoke", "--workspace", "shop", "--name", "cdp").returncode == 0
    until(
        lambda: service.call("POST", "/users/track", TRACK, key)[0] == 401,
        timeout=15,
        message="the key still works",
    )
    assert cli(data, "verify").stdout == "equal to the reference\n"
    file, restored = data.parent / "backup.tar.gz", data.parent / "restored"
    assert cli(data, "backup", str(file)).returncode == 0
    assert cli(restored, "restore", str(file)).returncode == 0
    assert cli(restored, "verify").stdout == "equal to the reference\n"
    assert (restored / "default.key").read_text() == (data / "default.key").read_text()
    assert "is in use" in cli(data, "restore", str(file)).stderr
    doctor = cli(data, "doctor", env={"ONEFOLD_BACKUP_HOURS": "1"})
    assert doctor.returncode == 0, doctor.stdout
    assert "last: 20" in doctor.stdout
    for wrong in (
        ("workspaces", "create", "shop"),
        ("workspaces", "create", "x", "--plan", "gold"),
        ("workspaces", "set", "nobody"),
        ("keys", "create", "--workspace", "shop", "--name", "n"),
        ("keys", "create", "--workspace", "shop", "--name", "n", "--permission", "fly"),
        ("keys", "create", "--workspace", "nobody", "--name", "n", "--all"),
        ("keys", "revoke", "--workspace", "shop", "--name", "nobody"),
        ("requests", "show", "x"),
    ):
        done = cli(data, *wrong)
        assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, "", False), wrong


def test_a_child_that_dies_is_started_again_and_nothing_is_lost(running: Service) -> None:
    service = running
    assert service.call("POST", "/users/track", TRACK)[0] == 201
    sent = 1
    for word in ("uvicorn", "sweeper", "valkey-server", "celery"):
        victim = service.children(word)[0]
        if word == "valkey-server":
            victim = next(
                p for p in service.children(word) if "--port" in p.cmdline() or ":0" in " ".join(p.cmdline()) or p
            )
        victim.send_signal(signal.SIGKILL)
        until(lambda pid=victim.pid: gone(pid))  # type: ignore[misc]
        until(lambda w=word: service.children(w), timeout=5, message=f"{word} was not started again")  # type: ignore[misc]
        until(service.answers, timeout=15, message=f"no answer after the death of {word}")
        assert service.call("POST", "/users/track", TRACK)[0] == 201
        sent += 1
        until(lambda n=sent: logins(service) == n, timeout=15, message=f"not applied after the death of {word}")  # type: ignore[misc]


def test_nobody_survives_a_killed_launcher(running: Service, cli: Command) -> None:
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) >= 5
    running.process.kill()
    running.process.wait(5)
    until(lambda: all(gone(child.pid) for child in family), timeout=10, message="orphans")
    stopped = cli(running.data_dir, "doctor")
    assert stopped.returncode == 1
    assert "does not answer" in stopped.stdout


@pytest.mark.parametrize(
    ("file", "text", "env", "said"),
    [
        ("flower.auth", "me:pass,word1", {}, "flower.auth must be user:password without commas"),
        ("metrics.token", "x", {}, "metrics.token must be at least 8 ASCII characters"),
        ("", "", {"ONEFOLD_METRICS_TOKEN": "  "}, "ONEFOLD_METRICS_TOKEN: must be at least 8 ASCII characters"),
        ("", "", {"ONEFOLD_FLOWER_BASIC_AUTH": "me:pass,word1"}, "ONEFOLD_FLOWER_BASIC_AUTH: must be user:password"),
    ],
)
def test_secrets_that_let_anybody_in_are_refused(
    tmp_path: Path, cli: Command, file: str, text: str, env: dict[str, str], said: str
) -> None:
    if file:
        (tmp_path / file).write_text(text)
    ports = ("--port", str(free_port()), "--flower-port", str(free_port()))
    done = cli(tmp_path, "up", *ports, env=env)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert said in done.stderr.replace("\n", "")
    assert "pass,word1" not in done.stderr


@pytest.mark.parametrize("broker", ["dead", "without workers"])
def test_the_sweeper_applies_when_no_doorbell_is_heard(
    broker: str, tmp_path: Path, cli: Command, postgres_server: PostgresServer, valkey_server: ValkeyServer
) -> None:
    """API and sweeper alone: the broker is not there, or nobody listens to it."""
    dead = f"redis://127.0.0.1:{free_port()}/0"
    env = {
        "DATABASE_URL": postgres_server.create_database(f"sweep_{broker.split(maxsplit=1)[0]}"),
        "REDIS_URL": dead if broker == "dead" else valkey_server.url,
        "ONEFOLD_KEY_PREFIX": "sweeptest:",
    }
    port = free_port()
    assert cli(tmp_path, "workspaces", "create", "w", env=env).returncode == 0
    key = cli(tmp_path, "keys", "create", "--workspace", "w", "--name", "k", "--all", env=env).stdout.strip()
    service = Service(None, tmp_path, port, 0)  # type: ignore[arg-type]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (tmp_path / "log").open("wb") as log:
            processes += [
                subprocess.Popen(
                    [ONEFOLD, *command, "--data-dir", str(tmp_path)],
                    env=environment(env),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                for command in (["api", "--port", str(port)], ["sweeper"])
            ]
        until(service.answers, timeout=30, message="the API did not come up")
        _, _, headers = service.call("POST", "/users/track", TRACK, key)
        status, answer, _ = service.call("GET", f"/v1/requests/{headers['X-Request-Id']}?wait=10", None, key)
        assert (status, answer["status"]) == (200, "applied")
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(20)


@pytest.mark.parametrize("option", ["--port", "--flower-port"])
def test_a_port_in_use_is_said_at_once(option: str, tmp_path: Path, cli: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        free = {"--port": str(free_port()), "--flower-port": "0"} | {option: str(number)}
        done = cli(tmp_path, "up", *(word for pair in free.items() for word in pair))
    assert done.returncode == 1
    assert f"Port {number} of 127.0.0.1 is in use" in done.stderr
    assert option in done.stderr
