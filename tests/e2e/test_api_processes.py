"""`onefold api --workers N`: several processes on one port, of which one may die, and all go with their launcher."""

import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

from tests.e2e.service import ONEFOLD, environment
from tests.polling import gone, until
from tests.servers import free_port


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(tmp_path: Path, port: int) -> Iterator[psutil.Process]:
    made = subprocess.run([ONEFOLD, "migrate", "--data-dir", str(tmp_path)], env=environment(), check=False)
    assert made.returncode == 0
    words = [ONEFOLD, "api", "--workers", "3", "--port", str(port), "--data-dir", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            words, env=environment({"ONEFOLD_METRICS_TOKEN": "a-long-token"}), stdout=log, stderr=log
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text of one request, on a connection of its own. Raises OSError, HTTPException."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": "Bearer a-long-token"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return get(port, "/readyz")[0] == 200
    except (OSError, HTTPException):
        return False


def connected(process: psutil.Process) -> int:
    return sum(one.status == psutil.CONN_ESTABLISHED for one in process.net_connections("tcp"))


def test_all_of_them_serve_and_one_that_dies_is_replaced(running: psutil.Process, port: int) -> None:
    until(lambda: len(running.children()) == 3 and answers(port), 30, message="no answer")
    held: list[HTTPConnection] = []

    def shared() -> bool:
        held.append(HTTPConnection("127.0.0.1", port, timeout=5))
        held[-1].request("GET", "/livez")
        held[-1].getresponse().read()
        return all(connected(process) for process in running.children())

    until(shared, 30, message="not all processes have connections")
    for connection in held:
        connection.close()
    victim = running.children()[0]
    victim.kill()
    until(lambda: gone(victim.pid) and len(running.children()) == 3, 10, message="nobody takes its place")
    assert {get(port, "/v1/limits")[0] for _ in range(20)} == {401}
    status, text = get(port, "/metrics")
    counted = [line for line in text.splitlines() if line.startswith("onefold_requests_total{")]
    assert (status, sum(float(line.split()[-1]) for line in counted)) == (200, 20.0), counted
    family = running.children(recursive=True)
    running.terminate()
    until(lambda: all(gone(process.pid) for process in (running, *family)), 20, message="somebody lives on")


def test_a_launcher_that_is_killed_leaves_nobody_behind(running: psutil.Process, port: int) -> None:
    until(lambda: len(running.children()) == 3 and answers(port), 30, message="no answer")
    family = running.children(recursive=True)
    running.kill()
    until(lambda: all(gone(process.pid) for process in family), 10, message="somebody lives on")
