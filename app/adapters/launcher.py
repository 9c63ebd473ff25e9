"""Runs a fixed set of child processes: starts them in order, starts again what dies, stops them in order.

The life of a child. It is started in a session of its own, so that a Ctrl-C in the terminal reaches the launcher only
and never a Celery pool process with a task in hand. If it has a `ready` check, the next child waits for it. When it
ends by itself, what it left behind in its process group is killed and it is started again: at once, or after a growing
pause when it keeps dying young. At the end it gets its stop signal (its main process only: a signal to the whole group
kills a Celery worker's pool under it), and after `stop_timeout` its whole group gets SIGKILL. When the launcher itself
dies without a word (`kill -9`), the kernel kills each child, see `die_with_parent`.

Linux and macOS (where a killed launcher leaves its children behind).
"""

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from app.adapters.processes import Child, Process, collect, ending, kill_group, last_lines, log_size, rotate, spawn

SHORT_LIFE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 1.6  # "started again within 2 s" must hold with room for the start itself
READY_POLL_SECONDS = 0.05
#: How often the sizes of logs are looked at.
LOG_LOOK_SECONDS = 5.0
# One Ctrl-C can arrive twice: from the terminal, and again from a wrapper (make, npm, a script) that passes it on.
SECOND_CTRL_C_AFTER_SECONDS = 0.25


def restart_pause(short_lives: int) -> float:
    """Seconds to wait before the next start, after so many lives in a row of under a second: 0, 0, 0.1, 0.2 … 1.6."""
    return 0.0 if short_lives < 2 else min(0.1 * 2.0 ** min(short_lives - 2, 10), LONGEST_PAUSE_SECONDS)


class StartError(Exception):
    """A child could not be started, ended before it was ready, or was not ready in time. All have been stopped."""

    def __init__(self, child: Child, reason: str, last_words: str = "") -> None:
        super().__init__(f"{child.name} {reason}" + (f"; its log: {child.log}" if child.log else "") + last_words)
        self.child = child
        self.reason = reason


@dataclass(slots=True)
class _Slot:
    """A child's place in the launcher: its process of the moment, or the instant at which it gets one."""

    child: Child
    process: Process | None = None
    started_at: float = 0.0
    starting: bool = True  # until it was ready for the first time
    short_lives: int = 0
    due: float | None = None
    log_began: int = 0

    def spawn(self) -> None:
        """Give it a process. Raises OSError or SubprocessError."""
        self.log_began = log_size(self.child)
        self.process = spawn(self.child)
        self.started_at = time.monotonic()

    def last_words(self) -> str:
        """What the process of the moment, or the last one, logged last."""
        return last_lines(self.child, self.log_began)


class Launcher:
    """`run()` in the main thread of a process without other threads: children are forked, and signals are taken over.

    `report` gets a line for each restart, kill and stop; `started` is called once, when all children run and are ready.
    """

    def __init__(
        self, children: Sequence[Child], report: Callable[[str], None], started: Callable[[], None] | None = None
    ) -> None:
        self._slots = [_Slot(child) for child in children]
        self._report = report
        self._started = started
        self._wake: tuple[socket.socket, socket.socket] | None = None
        self._stop_asked_at: float | None = None
        self._kill_now = False
        self._logs_due = 0.0

    def run(self) -> None:
        """Start the children and keep them running until SIGINT, SIGTERM, SIGHUP or `stop()`; a second Ctrl-C kills.

        Returns when every child is gone. Raises StartError, again after stopping whatever had been started.
        """
        with self._signals_taken():
            try:
                for slot in self._slots:
                    self._start_first(slot)
                if self._started is not None and self._stop_asked_at is None:
                    self._started()
                while self._stop_asked_at is None:
                    self._tend(None)
            finally:
                self._stop_children()

    def stop(self) -> None:
        """Ask `run` to stop the children and return: from one of its callbacks or from another thread."""
        self._stop_asked_at = time.monotonic()
        if self._wake is not None:
            self._wake[1].send(b"\0")

    def pids(self) -> dict[str, int]:
        return {slot.child.name: slot.process.pid for slot in self._slots if slot.process is not None}

    def _start_first(self, slot: _Slot) -> None:
        child = slot.child
        if self._stop_asked_at is not None:
            return
        try:
            slot.spawn()
        except (OSError, subprocess.SubprocessError) as error:
            raise StartError(child, f"could not be started: {error}") from error
        slot.starting = child.ready is not None
        deadline = time.monotonic() + child.ready_timeout
        while slot.starting and self._stop_asked_at is None:
            if child.ready is None or child.ready():
                slot.starting = False
            elif time.monotonic() > deadline:
                raise StartError(child, f"was not ready within {child.ready_timeout:g} s", slot.last_words())
            else:
                self._tend(READY_POLL_SECONDS)

    def _tend(self, timeout: float | None) -> None:
        """Wait for news (a signal, an ended child, a start that is due), at most `timeout` seconds, and see to it."""
        dues = [slot.due - time.monotonic() for slot in self._slots if slot.due is not None]
        if any(slot.child.log_bytes for slot in self._slots):
            dues.append(self._look_at_logs())
        self._wait(min([*dues, timeout] if timeout is not None else dues, default=None))
        if self._stop_asked_at is not None:
            return
        for slot in self._slots:
            if slot.process is not None and (status := collect(slot.process)) is not None:
                self._mourn(slot, status)
            if slot.due is not None and slot.due <= time.monotonic():
                self._start_again(slot)

    def _look_at_logs(self) -> float:
        """Begin logs anew that are too large, when it is time to look; how long until the next look."""
        now = time.monotonic()
        if now >= self._logs_due:
            self._logs_due = now + LOG_LOOK_SECONDS
            for slot in self._slots:
                if rotate(slot.child):
                    slot.log_began = 0
        return self._logs_due - now

    def _mourn(self, slot: _Slot, status: int) -> None:
        slot.process = None
        end = f"ended ({ending(status)}) after {time.monotonic() - slot.started_at:.1f} s"
        if slot.starting:
            raise StartError(slot.child, f"{end}, before it was ready", slot.last_words())
        self._plan_restart(slot, end)

    def _plan_restart(self, slot: _Slot, end: str) -> None:
        now = time.monotonic()
        slot.short_lives = slot.short_lives + 1 if now - slot.started_at < SHORT_LIFE_SECONDS else 0
        pause = restart_pause(slot.short_lives)
        slot.due = now + pause
        again = "starting it again" + (f" in {pause:g} s" if pause else "")
        self._report(f"{slot.child.name} {end}; {again}{slot.last_words()}")

    def _start_again(self, slot: _Slot) -> None:
        slot.due = None
        try:
            slot.spawn()
        except (OSError, subprocess.SubprocessError) as error:  # such as no memory: it may be there in a second
            slot.started_at = time.monotonic()
            self._plan_restart(slot, f"could not be started ({error})")

    def _stop_children(self) -> None:
        running = [slot for slot in self._slots if slot.process is not None]
        if running:
            self._report("stopping " + ", ".join(slot.child.name for slot in running))
        for order in sorted({slot.child.stop_order for slot in running}):
            self._stop_together([slot for slot in running if slot.child.stop_order == order])

    def _stop_together(self, slots: Sequence[_Slot]) -> None:
        deadlines: dict[int, float] = {}  # pid -> when it is killed; a process that has been killed has none
        for slot in slots:
            if slot.process is not None:
                os.kill(slot.process.pid, slot.child.stop_signal)  # not reaped yet, so the pid is still this child's
                deadlines[slot.process.pid] = time.monotonic() + slot.child.stop_timeout
        while True:
            for slot in slots:
                if slot.process is None:
                    continue
                pid = slot.process.pid
                if collect(slot.process) is not None:
                    deadlines.pop(pid, None)
                    slot.process = None
                elif pid in deadlines and (self._kill_now or time.monotonic() >= deadlines[pid]):
                    del deadlines[pid]
                    self._report(f"{slot.child.name} has not stopped; killing it")
                    kill_group(pid)
            if all(slot.process is None for slot in slots):
                return
            self._wait(min((deadline - time.monotonic() for deadline in deadlines.values()), default=None))

    def _wait(self, timeout: float | None) -> None:
        """Sleep until a signal or `stop()`, at most `timeout` seconds. An ended child is a signal (SIGCHLD) too."""
        if self._wake is None:
            raise RuntimeError("only run() waits")
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake[0], selectors.EVENT_READ)
            if not selector.select(None if timeout is None else max(timeout, 0.0)):
                return
        numbers = set(self._wake[0].recv(4096))
        if numbers & {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}:
            now = time.monotonic()
            if self._stop_asked_at is None:
                self._stop_asked_at = now
            elif signal.SIGINT in numbers and now - self._stop_asked_at > SECOND_CTRL_C_AFTER_SECONDS:
                self._kill_now = True

    @contextmanager
    def _signals_taken(self) -> Iterator[None]:
        """Turn signals into bytes on a socket (signal.set_wakeup_fd), so that one select waits for everything.

        SIGINT is taken even where it is ignored, as in a background job of a script: else Ctrl-C would end the script
        and leave the service behind. Children start with the default, as for any signal that has a handler here.
        """
        taken = [signal.SIGINT, signal.SIGTERM, signal.SIGCHLD]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup it stays ignored
            taken.append(signal.SIGHUP)
        self._wake = socket.socketpair()
        for end in self._wake:
            end.settimeout(0)
        fd_before = signal.set_wakeup_fd(self._wake[1].fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, _taken) for number in taken}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(fd_before)
            for end in self._wake:
                end.close()
            self._wake = None


def _taken(_number: int, _frame: FrameType | None) -> None:
    """Nothing: the number is on the wake-up socket. (A handler must exist, else there is no wake-up.)"""
