"""HTTP clients as they come, those that ask to upgrade to HTTP/2 too. One that is not on this machine is skipped."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.api.harness import Service, Workspace, running, served, settings_for
from tests.missing import OPTIONAL, lacking, missing
from tests.servers import ValkeyServer

FOLDER: Final = Path(__file__).parent / "http"
BODY: Final = '{"attributes":[{"external_id":"ada","n":{"inc":1}}]}'


@pytest.fixture(scope="module")
def listening(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    settings = settings_for("", valkey_server.url, tmp_path_factory.mktemp("http"))
    with running(settings) as service, served(settings) as port:
        yield service, f"http://127.0.0.1:{port}"


@pytest.fixture
def workspace(listening: tuple[Service, str]) -> Workspace:
    return listening[0].workspace()


def printed(program: str, *arguments: str) -> list[str]:
    """What it prints, by lines. Skips the test where there is no such program."""
    found = shutil.which(program)
    if found is None:
        reason = f"{program} is not installed"
        if program in OPTIONAL:
            lacking(program, reason)
        missing(reason)
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def accepted(workspace: Workspace) -> int:
    """How many bodies had an effect."""
    workspace.drain()
    (ada,) = workspace.stored()
    return int(ada["custom_attributes"]["n"])


@pytest.mark.parametrize("framing", [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]], ids=str)
@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2"])
def test_curl(listening: tuple[Service, str], workspace: Workspace, version: str, framing: list[str]) -> None:
    key = ["-H", f"Authorization: Bearer {workspace.key}", "-H", "Content-Type: application/json"]
    if version == "--http1.0" and framing:
        framing = []  # curl does not send it then
    asked = ["-s", "--path-as-is", version, *key, *framing, "-d", BODY, "-o", "/dev/null", "-w", "%{http_code}\n"]
    alive = ["--next", "-s", version, "-o", "/dev/null", "-w", "%{http_code}\n", f"{listening[1]}/livez"]
    assert printed("curl", *asked, f"{listening[1]}/users/track", *alive) == ["201", "200"]
    assert accepted(workspace) == 1


def test_java(listening: tuple[Service, str], workspace: Workspace) -> None:
    """Its default client sends `Connection: Upgrade, HTTP2-Settings` with the first request."""
    assert printed("java", str(FOLDER / "Track.java"), listening[1], workspace.key, BODY) == ["201", "201", "200"]
    assert accepted(workspace) == 2


def test_node(listening: tuple[Service, str], workspace: Workspace) -> None:
    assert printed("node", str(FOLDER / "track.js"), listening[1], workspace.key, BODY) == ["201", "201", "200"]
    assert accepted(workspace) == 2


def test_php(listening: tuple[Service, str], workspace: Workspace) -> None:
    statuses = printed("php", str(FOLDER / "track.php"), listening[1], workspace.key, BODY)
    assert set(statuses) == {"201"}
    assert accepted(workspace) == len(statuses)
