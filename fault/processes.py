"""Our own processes: started, killed with everything below them, stopped, and started again."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

import fault
from tests.polling import gone, until

#: The tree that is tested: this one, also where it is a copy that shares its environment with another.
ROOT: Final = Path(fault.__file__).resolve().parent.parent
STOP_SECONDS: Final = 30.0


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours, without what would configure an Onefold, with the tested tree first on the path, and with `more`."""
    configured = ("ONEFOLD_", "DATABASE_URL", "REDIS_URL", "BROKER_URL", "FLOWER_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(configured)}
    # Celery would give its processes other names, and `role` reads their command lines.
    return {**kept, "PYTHONPATH": str(ROOT), "NOSETPS": "1", **more}


class Program:
    """A program that can be started again after any end. It dies with this process."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        leash = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()
        self.name = name
        self.log = log
        self._argv = (*leash, *argv)
        self._env = environment(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._argv, cwd=ROOT, env=self._env, stdout=output, stderr=output, start_new_session=True
            )

    def family(self) -> list[psutil.Process]:
        """The process and all below it, the outermost first."""
        if not self.running:
            return []
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self.pid)
            return [main, *main.children(recursive=True)]
        return []

    def kill9(self) -> None:
        """SIGKILL for all of them at once, and wait until they are gone."""
        family = self.family()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait()
        until(lambda: all(gone(process.pid) for process in family), message=f"{self.name} lives on")

    def ended(self) -> int | None:
        """Wait for its end; its status, None where it was never started."""
        return None if self._process is None else self._process.wait()

    def signal_kill(self) -> None:
        """SIGKILL for the process itself, for whose end somebody else waits."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """SIGTERM, as a deployment does it; what has not ended after that is killed."""
        if self._process is None:
            return
        family = self.family()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                if not gone(process.pid):
                    process.kill()

    def pool(self) -> list[psutil.Process]:
        """The processes that Celery forked to apply with: a Celery worker whose parent is one too. No job workers."""
        found = []
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                parent = process.parent()
                if parent is not None and "-A" in words(process) and "-A" in words(parent):
                    if "workers.celery_jobs" in words(process):
                        continue
                    found.append(process)
        return found


def is_forked(process: psutil.Process, *, jobs: bool) -> bool:
    """Whether Celery forked it: to work on jobs, or else to apply."""
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        forked = "-A" in words(process) and parent is not None and "-A" in words(parent)
        return forked and ("workers.celery_jobs" in words(process)) is jobs
    return False


def role(process: psutil.Process) -> str:
    """What one of our processes does, by its command line. Raises psutil.NoSuchProcess."""
    said = words(process)
    parent = process.parent()
    if "-A" in said:
        return "Celery's child" if parent is not None and "-A" in words(parent) else "Celery"
    kinds = ("uvicorn", "sweeper", "valkey")
    return next((word for word in kinds if any(word in part for part in said)), "launcher")


def words(process: psutil.Process) -> list[str]:
    """Its command line, or the title that it was given instead, which is a single argument. Raises
    psutil.NoSuchProcess.
    """
    return " ".join(process.cmdline()).split()
