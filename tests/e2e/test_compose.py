"""docker-compose.yml without Docker: what it says, and that what it starts of ours starts and becomes healthy.

The commands and health checks run natively as they are written there. Only addresses are translated: to a PostgreSQL
and a Valkey of the tests, and to free ports of this machine.
"""

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import pytest
import redis
import yaml

from app.adapters import embedded
from tests.polling import gone, until
from tests.servers import PostgresServer, ValkeyServer

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
OURS = ("api", "worker", "jobs", "flower")
GIVEN = {"POSTGRES_PASSWORD": "p@ss/word", "FLOWER_BASIC_AUTH": "someone:some password"}
PREFIX = "onefold-compose:"

Service = dict[str, Any]


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    """The services, with the variables of GIVEN put in as Compose does it."""
    text = re.sub(r"\$\{(\w+):\?[^}]+\}", lambda match: GIVEN[match[1]], FILE.read_text())
    found: dict[str, Service] = yaml.safe_load(text)["services"]
    return found


def test_the_compose_file_as_docker_reads_it() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode:
        pytest.skip("no docker with the compose plugin; the other tests of this module read the file by themselves")
    argv = [docker, "compose", "--file", str(FILE), "config", "--quiet"]
    said = subprocess.run(argv, check=False, env={**os.environ, **GIVEN}, capture_output=True, text=True, timeout=30)
    assert (said.returncode, said.stderr) == (0, "")


def test_every_service_has_a_health_check_and_comes_back_after_a_crash(services: dict[str, Service]) -> None:
    assert set(services) == {*OURS, "postgres", "redis"}
    for name, service in services.items():
        check = service["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "start_period", "retries"} <= check.keys(), name
        assert service["restart"] == "unless-stopped", name


def test_a_service_waits_until_what_its_addresses_name_is_healthy(services: dict[str, Service]) -> None:
    for name in OURS:
        hosts = {urlsplit(value).hostname for key, value in services[name]["environment"].items() if "_URL" in key}
        waits = services[name]["depends_on"]
        assert waits.keys() - {"api"} == hosts
        assert all(condition == {"condition": "service_healthy"} for condition in waits.values())


def test_passwords_are_asked_for_and_never_written_down(services: dict[str, Service]) -> None:
    text = FILE.read_text()
    assert text.count("${POSTGRES_PASSWORD:?") == 2
    assert text.count("${FLOWER_BASIC_AUTH:?") == 1
    # Without a token there are no metrics, so this one may be empty. Every other variable is required.
    assert "${" not in re.sub(r"\$\{\w+:\?", "", text.replace("${METRICS_TOKEN:-}", "")), "a variable with a default"
    assert all(urlsplit(services[name]["environment"]["REDIS_URL"]).password is None for name in OURS)


def test_only_the_api_can_be_reached_from_other_machines(services: dict[str, Service]) -> None:
    assert {name: service.get("ports", []) for name, service in services.items()} == {
        "api": ["8080:8080"],
        "worker": [],
        "jobs": [],
        "flower": ["127.0.0.1:5555:5555"],
        "postgres": [],
        "redis": [],
    }


def test_data_lies_in_named_volumes(services: dict[str, Service]) -> None:
    named = yaml.safe_load(FILE.read_text())["volumes"]
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert used == set(named) == {"postgres", "redis", "files"}


def test_redis_is_set_up_as_the_embedded_one(services: dict[str, Service], tmp_path: Path) -> None:
    mine = embedded.argv(Path("valkey-server"), tmp_path, tmp_path / "socket")
    embedded_options = dict(zip(mine[1::2], mine[2::2], strict=True))
    words = services["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options.keys() == {"--appendonly", "--appendfsync", "--save", "--maxmemory-policy"}
    assert options.items() <= embedded_options.items()


def test_the_image_is_made_of_files_that_exist_and_nothing_else_gets_in() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)
    assert "--require-hashes" in text
    assert "\nUSER onefold\n" in text


class Native:
    """A service of the file as a process of this machine."""

    def __init__(self, service: Service, urls: Mapping[str, str], folder: Path) -> None:
        """`urls` has an address for each URL that the service is given. Its port becomes a free one."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = str(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self._service = service
        folder.mkdir()
        self.environment = {
            **{name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ},
            **{name: urls.get(name, value) for name, value in service["environment"].items()},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOSTNAME": socket.gethostname(),  # Docker sets it
            "ONEFOLD_DATA_DIR": str(folder),
            **({"ONEFOLD_FILES": str(folder.parent / "files")} if "volumes" in service else {}),
            "ONEFOLD_KEY_PREFIX": PREFIX,
        }
        entry = service.get("entrypoint", _entrypoint())
        argv = [self._translated(word) for word in (*entry, *service["command"])]
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).with_name(argv[0])), *argv[1:]],
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def healthy(self) -> bool:
        """The service's own health check."""
        assert self.process.poll() is None, self.log.read_text()
        kind, *words = self._service["healthcheck"]["test"]
        words = [self._translated(word) for word in words]
        argv = ["/bin/sh", "-c", words[0].replace("$$", "$")] if kind == "CMD-SHELL" else words
        seconds = int(self._service["healthcheck"]["timeout"].removesuffix("s"))
        try:
            check = subprocess.run(
                argv, check=False, env=self.environment, cwd=ROOT, capture_output=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:  # Docker asks again then, too
            return False
        return check.returncode == 0

    def run(self, *argv: str) -> str:
        """As `docker compose exec` does; what the command printed."""
        return subprocess.run(
            argv, check=True, env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=60
        ).stdout

    def stop(self) -> None:
        """As `docker stop` does: SIGTERM to the main process; everything has to be gone in time."""
        family = [] if self.process.poll() is not None else psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        try:
            self.process.wait(int(self._service["stop_grace_period"].removesuffix("s")))
            until(lambda: all(gone(child.pid) for child in family), message=f"{family} outlived the service")
        finally:
            for pid in (self.process.pid, *(child.pid for child in family)):
                if not gone(pid):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()

    def _translated(self, word: str) -> str:
        return word.replace("0.0.0.0", "127.0.0.1").replace("8080", self._port).replace("5555", self._port)


def _entrypoint() -> list[str]:
    found = re.search(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words


@pytest.fixture
def addresses(postgres_server: PostgresServer, valkey_server: ValkeyServer) -> Iterator[dict[str, str]]:
    """What DATABASE_URL and REDIS_URL are to be here."""
    yield {"DATABASE_URL": postgres_server.create_database("compose"), "REDIS_URL": valkey_server.url}
    with closing(redis.Redis.from_url(valkey_server.url)) as client:
        for key in client.scan_iter(f"{PREFIX}*"):
            client.delete(key)


def test_the_services_start_become_healthy_and_work_together(
    services: dict[str, Service], addresses: dict[str, str], tmp_path: Path
) -> None:
    running: dict[str, Native] = {}
    try:
        for name in ("flower", "api", "worker", "jobs"):  # Flower first, since nobody waits for it
            running[name] = Native(services[name], addresses, tmp_path / name)
            if name == "api":
                until(running[name].healthy, timeout=60, interval=0.5, message="api is not healthy")
        for name in ("flower", "worker", "jobs"):  # the check of a worker costs more than its start
            until(running[name].healthy, timeout=60, interval=0.5, message=f"{name} is not healthy")
        api, flower = running["api"], running["flower"]
        assert _answer(flower.url, {})[0] == 401
        password = base64.b64encode(GIVEN["FLOWER_BASIC_AUTH"].encode()).decode()
        assert _answer(flower.url, {"Authorization": f"Basic {password}"})[0] == 200
        api.run("onefold", "workspaces", "create", "main")
        key = api.run("onefold", "keys", "create", "--workspace", "main", "--name", "backend", "--all").strip()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        ada = {"external_id": "ada", "first_name": "Ada"}
        assert _answer(f"{api.url}/users/track", headers, {"attributes": [ada]})[0] == 201
        status, document = _answer(f"{api.url}/users/export/ids", headers, {"external_ids": ["ada"]})
        assert (status, document["users"][0]["first_name"]) == (201, "Ada")
        status, document = _answer(f"{api.url}/users/export/global_control_group", headers, {})
        assert status == 201
        until(lambda: _answer(document["url"], {})[0] == 200, timeout=60, message="they share no file")
        assert _job_workers(api, api.environment["ONEFOLD_FILES"]) == "1 answering, files shared"
        assert "has another directory for files" in _job_workers(api, str(tmp_path / "elsewhere"))
    finally:
        for service in running.values():
            service.stop()


def _job_workers(api: Native, files: str) -> str:
    """What `onefold doctor` says of job workers to an API that looks for files in this directory."""
    said = subprocess.run(
        ["onefold", "doctor"],
        check=False,
        env={**api.environment, "ONEFOLD_FILES": files},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    ).stdout
    (line,) = (line for line in said.splitlines() if "job workers" in line)
    return line.split("│")[2].strip()


def _answer(url: str, headers: Mapping[str, str], body: object = None) -> tuple[int, Any]:
    """Status and document; None instead of what is not JSON."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(url, data, dict(headers)), timeout=5) as response:
            said = response.read()
            return response.status, json.loads(said) if said.startswith(b"{") else None
    except HTTPError as error:
        with error:
            return error.code, None
