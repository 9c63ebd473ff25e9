"""One child process: started in a session of its own, collected with all that it left behind, and its last words.

Linux and macOS (where nothing is forked without an exec, and a killed parent leaves its children behind).
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.adapters import forking

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
#: How much of a log is read for its last lines.
TAIL_BYTES = 8192
TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep running. `env` is its whole environment. Without a `log` it writes to the launcher's output.

    `fork`: modules that its program is made of, where that is Python. Where it can be done, we import them, and it is
    forked from us. Without any it is started anew.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path | None
    #: Bytes after which the log begins anew; what was in it is kept in one other file. 0 = it grows.
    log_bytes: int = 0
    stop_signal: int = signal.SIGTERM
    stop_timeout: float = 15.0
    stop_order: int = 0  # the lowest stops first
    ready: Callable[[], bool] | None = None  # asked every 50 ms; must answer quickly
    ready_timeout: float = 30.0
    fork: Sequence[str] = ()
    #: Descriptors of the launcher that it gets as well, under the same numbers.
    descriptors: tuple[int, ...] = ()


class Process(Protocol):
    """One that was started: subprocess.Popen, or forking.Forked."""

    pid: int

    def wait(self) -> int:
        """Wait for its end: its exit status, or the number of the signal that ended it, negative."""


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel kill this process as soon as its parent is dead, however it died. Does nothing outside Linux.

    The launcher does this for its children. It is not inherited, so a child that starts processes of its own has to
    see to them: Celery's prefork pool does so by itself (celery/concurrency/prefork.py); the processes of
    `uvicorn --workers N` and of a ProcessPoolExecutor live on unless they call this when they start.

    Call it from the main thread. "Parent" means the thread that forked this process (prctl(2)): that thread must live
    as long as its process. Give `parent`, the pid of that process, where it is known: if it died before this call, the
    kernel sends nothing, and this process ends itself.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def spawn(child: Child) -> Process:
    """Start it; it dies with this process. Raises OSError or SubprocessError.

    For a process without other threads, which makes preexec_fn safe, and forking.
    """
    parent = os.getpid()
    if child.log is not None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
    output = None if child.log is None else child.log.open("ab")
    try:
        if child.fork and forking.CAN_FORK:
            forking.load(child.fork)
            streams = None if output is None else output.fileno()
            return forking.fork(child.name, child.argv, child.env, streams, lambda: die_with_parent(parent))
        return subprocess.Popen(  # noqa: S603 - our own words, never shell text
            child.argv,
            env=dict(child.env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
            pass_fds=child.descriptors,
            preexec_fn=lambda: die_with_parent(parent),  # noqa: PLW1509
        )
    finally:
        if output is not None:
            output.close()


def collect(process: Process) -> int | None:
    """The exit status once the process has ended, else None. What it left in its group is killed before it is reaped:
    until then its pid, which is the group's number, cannot be given to somebody else's process."""
    if isinstance(process, subprocess.Popen) and not hasattr(os, "waitid"):  # macOS has it since Python 3.13
        if process.poll() is None:
            return None
    elif os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        return None
    kill_group(process.pid)
    return process.wait()


def kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone, or (macOS) nothing but a zombie
        os.killpg(pid, signal.SIGKILL)


def ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {-status}"


def rotate(child: Child) -> bool:
    """Whether its log was as large as it may be, and begins anew: its content is in the file NAME.1 now.

    The process goes on with the same file, to whose end it writes wherever that is. What it writes in the instant
    between the copy and the cut is lost.
    """
    if child.log is None or not child.log_bytes or log_size(child) < child.log_bytes:
        return False
    before = child.log.with_name(f"{child.log.name}.1")
    # A full disk, for instance: then at least the log does not fill it further.
    with suppress(OSError), child.log.open("rb") as old, before.open("wb") as kept:
        old.seek(-child.log_bytes, os.SEEK_END)  # no more of it than may be, where it grew without a bound before
        shutil.copyfileobj(old, kept)
    with suppress(OSError):
        os.truncate(child.log, 0)
    return True


def log_size(child: Child) -> int:
    """Bytes of its log now; 0 when it has none."""
    with suppress(OSError):
        return child.log.stat().st_size if child.log is not None else 0
    return 0


def last_lines(child: Child, since: int) -> str:
    """What it logged last, at most TAIL_LINES lines of those behind byte `since`, each on a line of its own."""
    if child.log is None:
        return ""
    with suppress(OSError), child.log.open("rb") as file:
        file.seek(max(since, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        return "".join(f"\n  {line}" for line in lines[-TAIL_LINES:])
    return ""
