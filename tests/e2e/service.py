"""A whole Onefold in its own processes, as `onefold up` starts it, and a client that talks HTTP to it."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil

from app.adapters.clock import now_us
from app.services.permissions import PERMISSIONS
from app.store import keys, workspaces
from app.store.engine import Database
from tests.polling import gone, until
from tests.servers import free_port

ONEFOLD = str(Path(sys.executable).with_name("onefold"))


#: Where a machine is short of CPU, 50 ms are over before Redis ran, and a process counts by itself.
PATIENT: Final = {"ONEFOLD_QUOTA_TIMEOUT_SECONDS": "1"}


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would configure an Onefold, and with `more`."""
    configured = ("ONEFOLD_", "DATABASE_URL", "REDIS_URL", "BROKER_URL", "FLOWER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(configured)}
    return kept | dict(more or {})


def command(
    program: str, data_dir: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """One run of the command line on a data directory."""
    return subprocess.run(
        [program, *arguments, "--data-dir", str(data_dir)],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Service:
    """A running `onefold up`."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", data_dir: Path, port: int, flower_port: int, database_url: str = ""
    ) -> None:
        self.process = process
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{port}"
        self.flower_url = f"http://127.0.0.1:{flower_port}"
        #: Empty for SQLite in the data directory.
        self.database_url = database_url

    @property
    def key(self) -> str:
        return (self.data_dir / "default.key").read_text().strip()

    @property
    def output(self) -> str:
        return (self.data_dir / "up.log").read_text()

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> tuple[int, Any, Any]:
        """(status, JSON, headers) of one request."""
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urlopen(request, timeout=20) as response:
                return response.status, json.loads(response.read()), response.headers
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read()), error.headers

    def workspace(self, plan: str, *permissions: str, **limits: int) -> str:
        """A key of a new workspace, with all permissions unless some are named."""
        database = Database(self.database_url or f"sqlite:///{self.data_dir / 'onefold.db'}", pool_size=1)
        try:
            name = uuid.uuid4().hex
            number = workspaces.number(workspaces.create(database, name, plan, now_us(), **limits))
            return keys.create(database, number, name, permissions or PERMISSIONS, now_us())
        finally:
            database.dispose()

    def answers(self) -> bool:
        try:
            with urlopen(self.url + "/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False

    def children(self, word: str) -> list[psutil.Process]:
        """Processes below the launcher with a word in their command line, the outermost first."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(word in part for part in process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found


@contextmanager
def up(
    data_dir: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    flower: bool = False,
    program: str = ONEFOLD,
    cwd: Path | None = None,
) -> Iterator[Service]:
    """`onefold up` until the end of the block; whatever it leaves behind is killed by pid."""
    data_dir.mkdir(parents=True, exist_ok=True)
    port, flower_port = free_port(), free_port() if flower else 0
    with (data_dir / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                *("up", "--port", str(port), "--flower-port", str(flower_port), "--data-dir", str(data_dir)),
                *arguments,
            ],
            env=environment(PATIENT | dict(env or {})),
            cwd=cwd,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = Service(process, data_dir, port, flower_port, (env or {}).get("DATABASE_URL", ""))
    family: list[psutil.Process] = []
    try:
        until(
            lambda: "curl" in service.output or process.poll() is not None,
            timeout=60,
            message="onefold up did not come up",
        )
        assert process.poll() is None, service.output
        yield service
    finally:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        for child in family:
            if not gone(child.pid):
                child.kill()
