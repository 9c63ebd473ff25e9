"""Fixtures for pytest: a Onefold for a test run, and for each test one that holds nothing yet.

The wheel registers them, so a test only has to ask for `onefold`. It runs `onefold up --test` in processes of its own;
nothing of the service is imported here. Where tests run in several processes (pytest-xdist), each has a Onefold.
"""

import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from tempfile import TemporaryFile
from typing import IO, Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

#: How long it may take until Onefold answers, and until it has stopped.
START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
CALL_SECONDS: Final = 70.0
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


class OnefoldError(Exception):
    """Onefold could not be started, or answered a call of ours with an error."""


class Onefold:
    """A running Onefold: what a client needs of it, and what test mode can do to it."""

    def __init__(self, url: str, api_key: str) -> None:
        #: Where it is, such as http://127.0.0.1:45123, and a key of its workspace that may do everything.
        self.url = url
        self.api_key = api_key

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer of an endpoint. Raises OnefoldError for any but a success."""
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data=data, headers=headers, method=method)  # noqa: S310 - our own address
        try:
            with urlopen(request, timeout=CALL_SECONDS) as response:  # noqa: S310
                answer: dict[str, Any] = json.loads(response.read())
                return answer
        except HTTPError as error:
            with error:
                raise OnefoldError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def profile(self, external_id: str) -> dict[str, Any] | None:
        """The profile with this external id, with all that was written before; None where there is none."""
        users = self.call("POST", "/users/export/ids", {"external_ids": [external_id]})["users"]
        return users[0] if users else None

    def reset(self) -> None:
        """Begin anew: nobody and nothing is there, no fault is left, and the clock is that of the machine."""
        self.call("POST", "/v1/test/reset")

    def fail(
        self, status: int, *, times: int | None = None, retry_after_seconds: int = 1, paths: Sequence[str] = ()
    ) -> None:
        """Let calls have no effect and be answered 429, 500, 502, 503 or 504.

        `times`: the next so many; None = all of them. `paths`: of these endpoints, such as /users/track, or of all.
        """
        fault = {"status": status, "times": times, "retry_after_seconds": retry_after_seconds}
        self.call("PUT", "/v1/test/fault", fault | ({"paths": list(paths)} if paths else {}))

    def delay(self, seconds: float, *, times: int | None = None, paths: Sequence[str] = ()) -> None:
        """Let answers come so much later. The calls have their effect."""
        fault = {"latency_ms": round(seconds * 1000), "times": times}
        self.call("PUT", "/v1/test/fault", fault | ({"paths": list(paths)} if paths else {}))

    def recover(self) -> None:
        """Let nothing go wrong any more."""
        self.call("DELETE", "/v1/test/fault")

    def set_time(self, moment: datetime | str, *, frozen: bool = False) -> None:
        """Set its clock, which goes on from there unless it is to stand still. A datetime needs a time zone."""
        text = moment if isinstance(moment, str) else moment.isoformat()
        self.call("PUT", "/v1/test/clock", {"now": text, "frozen": frozen})

    def advance(self, seconds: float) -> None:
        """Move its clock on."""
        self.call("PUT", "/v1/test/clock", {"advance_seconds": seconds})


@contextmanager
def running() -> Iterator[Onefold]:
    """A Onefold for the length of the block. Raises OnefoldError where it does not start."""
    with TemporaryFile() as errors:
        argv = (sys.executable, "-P", "-m", "onefold", "up", "--test", "--port", str(_free_port()))
        process = subprocess.Popen(  # noqa: S603 - our own words, never shell text
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,  # a Ctrl-C is for the tests, which stop it then
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )
        try:
            told = _first_line(process, errors)
            yield Onefold(told["url"], told["api_key"])
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


@pytest.fixture(scope="session")
def onefold_server() -> Iterator[Onefold]:
    """The Onefold of this test run, as tests have left it."""
    with running() as found:
        yield found


@pytest.fixture
def onefold(onefold_server: Onefold) -> Onefold:
    """A Onefold that holds nothing yet."""
    onefold_server.reset()
    return onefold_server


def _first_line(process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> dict[str, str]:
    """What Onefold says when it answers."""
    output, line, deadline = process.stdout, b"", time.monotonic() + START_SECONDS
    if output is None:
        raise OnefoldError("there is no output to read")
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                break
            read = os.read(output.fileno(), 4096)
            if not read:
                break
            line += read
    try:
        told: dict[str, str] = json.loads(line)
    except ValueError:
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
        raise OnefoldError(f"onefold up --test did not come up: {said or line.decode(errors='replace')}") from None
    return told


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _die_with_parent() -> None:
    """Where the tests are killed, Onefold stops as well (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
