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
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil
import psycopg
import pytest
import redis
import yaml

from app.adapters import embedded
from app.cli.production import problems
from app.secret_settings import basic_auth_problem
from app.settings import Settings
from tests.missing import lacking, missing, needed
from tests.polling import gone, until
from tests.servers import ValkeyServer, free_port, postgres, postgres_binaries

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
OURS = ("admin", "api", "worker", "jobs", "flower")
SERVERS = ("postgres", "redis")
PREFIX = "onefold-compose:"

Service = dict[str, Any]


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    """The services, with every variable at its default."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", FILE.read_text())
    found: dict[str, Service] = yaml.safe_load(text)["services"]
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/compose/secrets.sh makes."""
    folder = tmp_path_factory.mktemp("compose")
    for _ in range(2):  # the second time changes nothing
        subprocess.run([ROOT / "deploy/compose/secrets.sh"], cwd=folder, check=True, timeout=30)
    return folder / "secrets"


def test_the_compose_file_as_docker_reads_it() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False, capture_output=True).returncode:
        lacking("docker", "no docker with the compose plugin; the other tests here read the file by themselves")
    argv = [docker, "compose", "--file", str(FILE), "config", "--quiet"]
    said = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    assert (said.returncode, said.stderr) == (0, "")


def test_every_service_has_a_health_check_and_comes_back_after_a_crash(services: dict[str, Service]) -> None:
    assert set(services) == {*OURS, *SERVERS}
    for name in services.keys() - {"admin"}:  # which ends when it has done its work
        check = services[name]["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        assert {"interval", "timeout", "start_period", "retries"} <= check.keys(), name
        assert services[name]["restart"] == "unless-stopped", name


def test_a_service_waits_until_what_it_needs_is_there(services: dict[str, Service]) -> None:
    for name in OURS:
        named = {key.removesuffix("_URL_FILE") for key in services[name]["environment"] if key.endswith("_URL_FILE")}
        servers = {{"DATABASE": "postgres", "REDIS": "redis"}[each]: "service_healthy" for each in named}
        first = {"admin": "service_completed_successfully"} if name not in ("admin", "flower") else {}
        waits = {each: how["condition"] for each, how in services[name]["depends_on"].items()}
        assert waits == servers | first, name


def test_secrets_are_files_that_each_service_gets_only_its_own_of(services: dict[str, Service], secrets: Path) -> None:
    defined = yaml.safe_load(FILE.read_text())["secrets"]
    assert {name: f"./secrets/{name}" for name in defined} == {name: each["file"] for name, each in defined.items()}
    assert {path.name for path in secrets.iterdir()} == set(defined)
    assert {name: service["secrets"] for name, service in services.items()} == {
        "admin": ["owner_database_url", "redis_url"],
        "api": ["api_database_url", "redis_url"],
        "worker": ["worker_database_url", "redis_url"],
        "jobs": ["worker_database_url", "redis_url"],
        "flower": ["redis_url", "flower_auth"],
        "postgres": ["postgres_password", "owner_password", "api_password", "worker_password"],
        "redis": ["redis_conf", "redis_password"],
    }
    for service in services.values():
        named = [value for value in service.get("environment", {}).values() if "/run/secrets/" in str(value)]
        assert {value.removeprefix("/run/secrets/") for value in named} <= set(service["secrets"])


def test_secrets_differ_fit_production_and_are_closed_to_others(secrets: Path) -> None:
    texts = {path.name: path.read_text().strip() for path in secrets.iterdir()}
    passwords = [text for name, text in texts.items() if name.endswith("_password")]
    assert len(set(passwords)) == len(passwords) == 5
    assert texts["redis_conf"] == f"requirepass {texts['redis_password']}"
    assert basic_auth_problem(texts["flower_auth"]) is None
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    for role in ("owner", "api", "worker"):
        given = Settings(
            env="production",
            trusted_proxies="172.16.0.0/12",
            DATABASE_URL=texts[f"{role}_database_url"],
            REDIS_URL=texts["redis_url"],
        )
        assert list(problems(given, "0.0.0.0", {})) == []
        assert texts[f"{role}_password"] in given.database_url


def test_nobody_has_more_rights_than_needed(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "pids_limit", "logging"} <= service.keys(), name
        if name in OURS:
            assert service["environment"].get("ONEFOLD_ENV", "production") == "production", name
        else:
            assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"]), name


def test_databases_are_where_nothing_leads_out_and_only_this_machine_reaches_the_rest(
    services: dict[str, Service],
) -> None:
    assert yaml.safe_load(FILE.read_text())["networks"] == {"inside": {"internal": True}, "outside": None}
    assert {name for name, service in services.items() if service["networks"] == ["inside"]} == {"admin", *SERVERS}
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"api": ["127.0.0.1:8080:8080"], "flower": ["127.0.0.1:5555:5555"]}


def test_data_lies_in_named_volumes(services: dict[str, Service]) -> None:
    named = yaml.safe_load(FILE.read_text())["volumes"]
    used = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert {name for name in used if name.startswith(".")} == {"./deploy/compose/roles.sh"}
    assert {name for name in used if not name.startswith(".")} == set(named) == {"postgres", "redis", "files"}


def test_redis_is_set_up_as_the_embedded_one(services: dict[str, Service], tmp_path: Path) -> None:
    mine = embedded.argv(Path("valkey-server"), tmp_path, tmp_path / "socket")
    embedded_options = dict(zip(mine[1::2], mine[2::2], strict=True))
    words = services["redis"]["command"]
    assert words[:2] == ["valkey-server", "/run/secrets/redis_conf"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
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

    def __init__(self, service: Service, secrets: Path, folder: Path) -> None:
        """`secrets` are the files that it gets below /run/secrets. Its port becomes a free one."""
        self._port = str(free_port())
        self.url = f"http://127.0.0.1:{self._port}"
        self._service, self._secrets = service, secrets
        folder.mkdir()
        self.environment = {
            **{name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ},
            **{name: self._translated(value) for name, value in service["environment"].items()},
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
                [shutil.which(argv[0], path=self.environment["PATH"]) or argv[0], *argv[1:]],
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
        argv = ["/bin/sh", "-c", words[0]] if kind == "CMD-SHELL" else words
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
        word = word.replace("/run/secrets", str(self._secrets)).replace("$$", "$")
        return word.replace("0.0.0.0", "127.0.0.1").replace("8080", self._port).replace("5555", self._port)


def _entrypoint() -> list[str]:
    found = re.search(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words


@pytest.fixture
def given(secrets: Path, valkey_server: ValkeyServer, tmp_path: Path) -> Iterator[Path]:
    """The secrets, with the addresses of servers here; its database and roles are made by deploy/compose/roles.sh."""
    psql = next((path / "psql" for path in postgres_binaries() if (path / "psql").exists()), shutil.which("psql"))
    if psql is None:
        missing("no psql, which comes with Debian's PostgreSQL")
    folder = tmp_path / "secrets"
    shutil.copytree(secrets, folder)
    with needed(postgres(private=True)) as server:
        env = {**os.environ, "PGHOST": str(server.home), "SECRETS": str(folder)}
        env["PATH"] = f"{Path(psql).parent}:{env['PATH']}"
        subprocess.run([ROOT / "deploy/compose/roles.sh"], env=env, check=True, timeout=60)
        with psycopg.connect(server.dsn) as connection:
            roles = "select rolname, rolsuper or rolcreatedb or rolcreaterole or rolbypassrls from pg_roles"
            found = connection.execute(f"{roles} where rolname like 'onefold%' order by 1").fetchall()
        assert found == [("onefold", False), ("onefold_api", False), ("onefold_worker", False)]
        for path in folder.glob("*_database_url"):
            text = path.read_text().replace("@postgres:5432/onefold", f"@/onefold?host={server.home}")
            path.chmod(0o600)
            path.write_text(text)
        (folder / "redis_url").chmod(0o600)
        (folder / "redis_url").write_text(valkey_server.url)
        yield folder
    with closing(redis.Redis.from_url(valkey_server.url)) as client:
        for key in client.scan_iter(f"{PREFIX}*"):
            client.delete(key)


def test_the_services_start_become_healthy_and_work_together(
    services: dict[str, Service], given: Path, tmp_path: Path, forked_onefold: str
) -> None:
    running: dict[str, Native] = {}
    try:
        admin = Native(services["admin"], given, tmp_path / "admin")
        assert admin.process.wait(60) == 0, admin.log.read_text()
        for name in ("flower", "api", "worker", "jobs"):  # Flower first, since nobody waits for it
            running[name] = Native(services[name], given, tmp_path / name)
            if name == "api":
                until(running[name].healthy, timeout=60, interval=0.5, message="api is not healthy")
        for name in ("flower", "worker", "jobs"):  # the check of a worker costs more than its start
            until(running[name].healthy, timeout=60, interval=0.5, message=f"{name} is not healthy")
        api, flower = running["api"], running["flower"]
        assert _answer(flower.url, {})[0] == 401
        password = base64.b64encode((given / "flower_auth").read_bytes().strip()).decode()
        assert _answer(flower.url, {"Authorization": f"Basic {password}"})[0] == 200
        admin.run(forked_onefold, "workspaces", "create", "main")
        key = admin.run(forked_onefold, "keys", "create", "--workspace", "main", "--name", "backend", "--all").strip()
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        ada = {"external_id": "ada", "first_name": "Ada"}
        assert _answer(f"{api.url}/users/track", headers, {"attributes": [ada]})[0] == 201
        status, document = _answer(f"{api.url}/users/export/ids", headers, {"external_ids": ["ada"]})
        assert (status, document["users"][0]["first_name"]) == (201, "Ada")
        status, document = _answer(f"{api.url}/users/export/global_control_group", headers, {})
        assert status == 201
        until(lambda: _answer(document["url"], {})[0] == 200, timeout=60, message="they share no file")
        seen = partial(_job_workers, forked_onefold, api)
        assert seen(api.environment["ONEFOLD_FILES"]) == "1 answering, files shared"
        assert "has another directory for files" in seen(str(tmp_path / "elsewhere"))
    finally:
        for service in running.values():
            service.stop()


def _job_workers(onefold: str, api: Native, files: str) -> str:
    """What `onefold doctor` says of job workers to an API that looks for files in this directory."""
    said = subprocess.run(
        [onefold, "doctor"],
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
