"""A server process, which can be stopped, killed, and started again on the same files."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from tests.polling import gone, until

START_SECONDS = 30.0
STOP_SECONDS = 30.0
RUN_SECONDS = 60.0


class ServerUnavailable(Exception):  # noqa: N818 - it is a fact about this machine
    """The server cannot be had here, and why."""


class Process:
    """A server process that can be started again on the same files after any end."""

    def __init__(
        self,
        argv: Sequence[str],
        home: Path,
        user: int | None,
        answers: Callable[[], bool],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment`: of the server itself, beside what every one has."""
        # setpriv rather than a preexec_fn: Python 3.12 warns of forking where the test process has threads.
        leash = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
        self._argv = (*leash, *argv)
        self._programs = Path(argv[0]).parent
        self.home = home
        self._user = user
        self._answers = answers
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._process is not None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        if self._process is not None:
            raise RuntimeError("the server is running already")
        log = self.home / "log"
        with log.open("ab") as output:
            self._process = process = popen(self._argv, self.home, self._user, output.fileno(), self._environment)
        try:
            until(lambda: process.poll() is not None or self._answers(), START_SECONDS, message="no answer")
            if process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode}")
        except AssertionError as failure:
            self.kill9()
            tail = log.read_text(errors="replace")[-2000:]
            raise ServerUnavailable(f"{self._argv} does not start: {failure}\n{tail}") from failure

    def run(self, name: str, *words: str) -> None:
        program = self._programs / name
        if not program.is_file():
            raise ServerUnavailable(f"there is no {name} beside the server")
        process = popen([str(program), *words], self.home, self._user, subprocess.PIPE)
        output, _ = process.communicate(timeout=RUN_SECONDS)
        if process.returncode != 0:
            raise AssertionError(f"{name} ended with {process.returncode}: {output.decode(errors='replace')[-2000:]}")

    def stop(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
        self._process = None

    def hang(self) -> None:
        """SIGSTOP for the server and every process it has: connections stay, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT for all of them."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        main = psutil.Process(self.pid)
        main.send_signal(number)  # first, so that it makes no others meanwhile
        for process in main.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def kill9(self) -> None:
        """SIGKILL for the server and every process it has, and wait until all are gone."""
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            children = main.children(recursive=True)
            for process in (main, *children):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            until(lambda: all(gone(child.pid) for child in children), message=f"not all of {children} are gone")
        self._process.wait()
        self._process = None


def popen(
    argv: Sequence[str], home: Path, user: int | None, output: int, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program as that user, in a session of its own, so that a Ctrl-C for pytest does not stop it first."""
    try:
        return subprocess.Popen(
            argv,
            cwd=home,
            env={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(home),
                "LC_ALL": "C",
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
            group=None if user is None else pwd.getpwuid(user).pw_gid,
            extra_groups=None if user is None else [],
        )
    except OSError as error:
        raise ServerUnavailable(f"{argv[0]} cannot be run: {error}") from error
