"""The launcher with real processes: what a person, a terminal and the kernel can do to it and to its children."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.adapters import forking
from app.adapters.launcher import Launcher, StartError, restart_pause
from app.adapters.processes import Child
from tests.polling import gone, until
from tests.servers import ValkeyServer

ROOT = Path(__file__).parents[2]
RUN = """
import json, os, sys
from pathlib import Path
from app.adapters.launcher import Launcher
from app.adapters.processes import Child
children = []
for given in json.loads(sys.argv[1]):
    log = Path(given.pop("log")) if "log" in given else None
    argv = tuple(given.pop("argv"))
    children.append(Child(argv=argv, env={**os.environ, "PYTHONPATH": os.getcwd()}, log=log, **given))
say = lambda line: print(line, flush=True)
Launcher(children, say, lambda: say("all started")).run()
say("all stopped")
"""
NOTE = """
import os, signal, sys, time
from pathlib import Path
def note(word):
    with open(sys.argv[1], "a") as file:
        file.write(f"{word}\\n")
def on(number, *words, end=False):
    def handle(*_):
        for word in words:
            note(word)
        if end:
            sys.exit(0)
    signal.signal(number, handle)
"""
SERVE = NOTE + 'on(signal.SIGTERM, "term", end=True)\non(signal.SIGINT, "int", end=True)\nnote(os.getpid())\n'
FOREVER = "while True: signal.pause()\n"

Given = Mapping[str, Any]

#: What these programs are made of, for them to be forked.
MADE_OF = ("signal", "time", "pathlib")


class Running:
    """A launcher in a process of its own, and everything it says."""

    def __init__(self, folder: Path, children: list[Given], **options: Any) -> None:
        self.output = folder / "launcher.log"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUN, json.dumps(children)],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                **{"start_new_session": True, "stdin": subprocess.DEVNULL, **options},
            )

    def says(self, words: str) -> None:
        until(lambda: words in self.output.read_text(), message=f"{words!r} not said in {self.output.read_text()!r}")

    def ends(self, timeout: float = 10) -> int:
        return self.process.wait(timeout)


Launch = Callable[..., Running]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    running: list[Running] = []

    def start(*children: Given, **options: Any) -> Running:
        running.append(Running(tmp_path, list(children), **options))
        return running[-1]

    yield start
    for one in running:
        family = [one.process.pid]
        if one.process.poll() is None:
            family += [child.pid for child in psutil.Process(one.process.pid).children(recursive=True)]
        for pid in family:
            if not gone(pid):
                os.kill(pid, signal.SIGKILL)
        one.process.wait()


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["default", "ignored"])
def sigint(request: pytest.FixtureRequest) -> Iterator[Any]:
    """How this process takes SIGINT. A shell without job control has its background jobs ignore it."""
    before = signal.signal(signal.SIGINT, request.param)
    yield request.param
    signal.signal(signal.SIGINT, before)


@pytest.fixture(params=[True, False], ids=["forked", "started anew"])
def fork(request: pytest.FixtureRequest) -> Sequence[str]:
    """Child.fork of one that is forked from the launcher, and of one that is not. Elsewhere than on Linux none is."""
    if request.param and not forking.CAN_FORK:
        pytest.skip("no system to fork on")
    return MADE_OF if request.param else ()


def python(name: str, notes: Path, program: str = SERVE + FOREVER, **more: Any) -> Given:
    return {"name": name, "argv": [sys.executable, "-P", "-c", program, str(notes)], **more}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def pids(path: Path) -> list[int]:
    return [int(line) for line in lines(path) if line.isdigit()]


def test_logs_are_kept_within_a_size(tmp_path: Path, launch: Launch) -> None:
    """What fills them goes on writing. Of a log that was far too large before, no more is kept than may be."""
    log = tmp_path / "noisy.log"
    log.write_bytes(b"from before\n" * 1_000_000)
    program = "import time\nn = 0\nwhile True:\n    n += 1\n    print(n, flush=True)\n    time.sleep(0.0005)\n"
    launch({"name": "noisy", "argv": [sys.executable, "-S", "-c", program], "log": str(log), "log_bytes": 2_000})

    def numbers(path: Path) -> list[int]:
        return [int(line) for line in lines(path)[1:-1] if line.isdigit()]

    kept = tmp_path / "noisy.log.1"
    until(lambda: numbers(kept), timeout=30, message="the log did not begin anew a second time")
    # The log is cut after it was copied.
    until(
        lambda: numbers(log) and max(numbers(kept)) < min(numbers(log)), message="what was kept stands in the log, too"
    )
    assert kept.stat().st_size <= 2_000
    assert log.stat().st_size < 12_000_000  # 12 MB before


def test_a_child_that_dies_is_started_again_within_two_seconds_every_time(
    tmp_path: Path, launch: Launch, fork: Sequence[str]
) -> None:
    notes = tmp_path / "notes"
    running = launch(python("api", notes, fork=fork))
    for death in range(1, 6):
        until(lambda count=death: len(pids(notes)) == count)  # type: ignore[misc]
        killed_at = time.monotonic()
        os.kill(pids(notes)[-1], signal.SIGKILL)
        until(lambda count=death: len(pids(notes)) == count + 1, timeout=2)  # type: ignore[misc]
        assert time.monotonic() - killed_at < 2
    assert running.output.read_text().count("api ended (signal 9)") == 5


def test_a_child_that_cannot_live_is_started_ever_more_slowly(tmp_path: Path, launch: Launch) -> None:
    starts = tmp_path / "starts"
    began = time.monotonic()
    running = launch({"name": "broken", "argv": ["/bin/sh", "-c", f"echo 1 >> {starts}; exit 3"]})
    until(lambda: len(lines(starts)) >= 5)
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4
    running.says("broken ended (exit status 3) after 0.0 s; starting it again in 0.2 s")


@pytest.mark.parametrize(
    ("short_lives", "pause"),
    [(0, 0), (1, 0), (2, 0.1), (3, 0.2), (4, 0.4), (5, 0.8), (6, 1.6), (7, 1.6), (100_000, 1.6)],
)
def test_the_pause_before_a_restart(short_lives: int, pause: float) -> None:
    assert restart_pause(short_lives) == pause


def test_a_clean_stop_goes_in_order_and_to_the_main_process_only(
    tmp_path: Path, launch: Launch, fork: Sequence[str]
) -> None:
    notes = tmp_path / "notes"
    # The worker's own child hears nothing of the stop: it still does its work (USR1) when the worker asks it to.
    pool = NOTE + ('on(signal.SIGTERM, "pool: term")\non(signal.SIGUSR1, "pool: done")\nnote("pool: up")\n' + FOREVER)
    worker = NOTE + (
        "import subprocess\n"
        f"pool = subprocess.Popen([sys.executable, '-S', '-c', {pool!r}, sys.argv[1]])\n"
        "def stop(*_):\n"
        "    note('worker: term')\n"
        "    pool.send_signal(signal.SIGUSR1)\n"
        "    while 'pool: done' not in Path(sys.argv[1]).read_text(): time.sleep(0.01)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "note('worker: up')\n"
    )
    store = NOTE + 'on(signal.SIGQUIT, "store: quit", end=True)\nnote("store: up")\n'
    running = launch(
        python("store", notes, store + FOREVER, stop_order=3, stop_signal=int(signal.SIGQUIT), fork=fork),
        python("worker", notes, worker + FOREVER, stop_order=2, fork=fork),
    )
    until(lambda: sorted(lines(notes)) == ["pool: up", "store: up", "worker: up"])
    family = [child.pid for child in psutil.Process(running.process.pid).children(recursive=True)]
    running.process.terminate()
    assert running.ends() == 0
    assert lines(notes)[3:] == ["worker: term", "pool: done", "store: quit"]
    assert running.output.read_text().splitlines() == ["all started", "stopping store, worker", "all stopped"]
    assert len(family) == 3
    until(lambda: all(gone(pid) for pid in family))


def test_what_a_dead_child_leaves_behind_is_gone_before_it_starts_again(tmp_path: Path, launch: Launch) -> None:
    notes, left = tmp_path / "notes", tmp_path / "left"
    program = f"sleep 600 & echo $! >> {left}; echo $$ >> {notes}; wait"
    launch({"name": "worker", "argv": ["/bin/sh", "-c", program]})
    until(lambda: pids(notes))
    os.kill(pids(notes)[0], signal.SIGKILL)
    until(lambda: len(pids(notes)) == 2)
    assert gone(pids(left)[0])
    assert not gone(pids(left)[1])


def test_a_child_that_will_not_stop_is_killed_with_its_group(tmp_path: Path, launch: Launch) -> None:
    notes = tmp_path / "notes"
    program = f"trap '' TERM; sleep 600 & echo $! >> {notes}; echo $$ >> {notes}; while :; do wait; done"
    running = launch({"name": "stuck", "argv": ["/bin/sh", "-c", program], "stop_timeout": 0.3})
    until(lambda: len(pids(notes)) == 2)
    running.process.terminate()
    assert running.ends() == 0
    assert "stuck has not stopped; killing it" in running.output.read_text()
    until(lambda: all(gone(pid) for pid in pids(notes)))


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path, launch: Launch) -> None:
    notes = tmp_path / "notes"
    program = f"trap '' TERM; echo $$ >> {notes}; while :; do sleep 600; done"
    running = launch({"name": "stuck", "argv": ["/bin/sh", "-c", program], "stop_timeout": 600})
    running.says("all started")
    until(lambda: pids(notes))

    def kills() -> bool:
        """Whether it has heard; else it is pressed again. Whoever presses while it ends has it end by that."""
        if "killing it" not in running.output.read_text():
            running.process.send_signal(signal.SIGINT)
            return False
        return True

    kills()
    running.says("stopping stuck")
    until(kills, interval=0.1)
    assert running.ends() == 0
    assert all(gone(pid) for pid in pids(notes))


def test_ctrl_c_in_the_terminal_reaches_the_launcher_only(tmp_path: Path, launch: Launch, fork: Sequence[str]) -> None:
    notes = tmp_path / "notes"
    keyboard, terminal = pty.openpty()
    try:
        running = launch(
            python("api", notes, fork=fork),
            stdin=terminal,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        until(lambda: pids(notes))
        running.says("all started")
        os.write(keyboard, b"\x03")
        assert running.ends() == 0
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert lines(notes)[1:] == ["term"]


def test_started_where_sigint_is_ignored_it_stops_on_sigint_and_its_children_can_be_interrupted(
    tmp_path: Path, launch: Launch, fork: Sequence[str]
) -> None:
    notes = tmp_path / "notes"
    # Whoever presses Ctrl-C in a script that runs `onefold up &` wants no service left behind.
    program = NOTE + (
        "ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
        'on(signal.SIGTERM, "term", end=True)\n'
        "note(f'ignored: {ignored}')\n"
    )
    running = launch(
        python("api", notes, program + FOREVER, fork=fork),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    running.says("all started")
    until(lambda: lines(notes))
    running.process.send_signal(signal.SIGINT)
    assert running.ends() == 0
    assert lines(notes) == ["ignored: False", "term"]
    assert running.output.read_text().splitlines() == ["all started", "stopping api", "all stopped"]


CELERY_APP = """
import os
from celery import Celery
app = Celery("probe", broker=os.environ["PROBE_BROKER"])
"""
ASGI_APP = """
import multiprocessing
from app.adapters.processes import die_with_parent
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        die_with_parent(multiprocessing.parent_process().pid)
        await send({"type": "lifespan.startup.complete"})
        open(f"up-{__import__('os').getpid()}", "w").close()
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
"""


def test_kill_9_of_the_launcher_leaves_nobody_behind(
    tmp_path: Path, launch: Launch, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probe_celery.py").write_text(CELERY_APP)
    (tmp_path / "probe_asgi.py").write_text(ASGI_APP)
    monkeypatch.setenv("PROBE_BROKER", valkey_server.broker_url)
    here = ["/usr/bin/env", f"--chdir={tmp_path}", sys.executable, "-m"]
    running = launch(
        {
            "name": "worker",
            "argv": [*here, "celery", "-A", "probe_celery", "worker", "-c", "2", "-l", "info"],
            "log": str(tmp_path / "worker.log"),
        },
        {
            "name": "api",
            "argv": [*here, "uvicorn", "--app-dir", ".", "--uds", "api.sock", "--workers", "2", "probe_asgi:app"],
            "log": str(tmp_path / "api.log"),
        },
        python("plain", tmp_path / "plain"),
        python("forked", tmp_path / "forked", fork=MADE_OF),
    )
    until(lambda: any(line.endswith(" ready.") for line in lines(tmp_path / "worker.log")), timeout=20)
    until(lambda: len(list(tmp_path.glob("up-*"))) == 2 and pids(tmp_path / "plain"), timeout=20)
    until(lambda: pids(tmp_path / "forked"))
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len([one for one in family if one.ppid() == running.process.pid]) == 4
    assert len(family) >= 4 + 2 + 2
    running.process.kill()
    try:
        until(lambda: all(gone(one.pid) for one in family), timeout=5, message=f"not all of {family} are gone")
    finally:
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()


def test_the_next_child_waits_until_the_one_before_is_ready() -> None:
    running_when_asked: list[list[str]] = []

    def ready() -> bool:
        running_when_asked.append(list(launcher.pids()))
        return len(running_when_asked) == 5

    def started() -> None:
        running_when_asked.append(list(launcher.pids()))
        launcher.stop()

    sleep = ("/bin/sleep", "600")
    launcher = Launcher(
        [Child("first", sleep, dict(os.environ), None, ready=ready), Child("second", sleep, dict(os.environ), None)],
        lambda _: None,
        started,
    )
    launcher.run()
    assert running_when_asked == [["first"]] * 5 + [["first", "second"]]


@pytest.mark.parametrize(
    ("argv", "timeout", "reason"),
    [
        (["/bin/sh", "-c", "exit 7"], 30.0, "ended (exit status 7) after 0.0 s, before it was ready"),
        (["/bin/sleep", "600"], 0.2, "was not ready within 0.2 s"),
        (["/nonexistent/program"], 30.0, "could not be started: [Errno 2]"),
    ],
)
def test_a_failed_start_stops_what_was_started(
    tmp_path: Path, argv: list[str], timeout: float, reason: str, sigint: Any
) -> None:
    notes = tmp_path / "notes"
    said: list[str] = []

    def child(name: str, words: list[str], ready: Callable[[], bool]) -> Child:
        return Child(name, tuple(words), dict(os.environ), tmp_path / f"{name}.log", ready=ready, ready_timeout=timeout)

    store = [sys.executable, "-S", "-c", SERVE + FOREVER, str(notes)]
    launcher = Launcher(
        [
            Child("store", tuple(store), dict(os.environ), None, ready=lambda: bool(pids(notes))),
            child("api", argv, lambda: False),
        ],
        said.append,
        lambda: said.append("all started"),
    )
    with pytest.raises(StartError) as caught:
        launcher.run()
    assert caught.value.reason.startswith(reason)
    assert str(tmp_path / "api.log") in str(caught.value)
    assert lines(notes)[1:] == ["term"]
    assert "all started" not in said
    assert signal.getsignal(signal.SIGINT) is sigint


def test_stop_from_a_callback_ends_the_run_and_logs_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    child = Child("child", ("/bin/sh", "-c", "echo out; echo err >&2; exec sleep 600"), dict(os.environ), log)
    for runs in (1, 2):
        said: list[str] = []
        launcher = Launcher([child], said.append)

        def stop_when_written(launcher: Launcher = launcher, expected: int = 2 * runs) -> None:
            until(lambda: len(lines(log)) == expected)
            assert list(launcher.pids()) == ["child"]
            launcher.stop()

        launcher._started = stop_when_written
        launcher.run()
        assert said == ["stopping child"]
        assert launcher.pids() == {}
    assert lines(log) == ["out", "err", "out", "err"]


def test_a_child_that_ends_says_its_last_words(tmp_path: Path) -> None:
    """Those of this life alone, the last few of them."""
    log = tmp_path / "api.log"
    log.write_text("of another life\n")
    words = "for n in 1 2 3 4 5 6 7 8 9; do echo word $n; done; exit 3"
    child = Child("api", ("/bin/sh", "-c", words), dict(os.environ), log, ready=lambda: False)
    with pytest.raises(StartError) as caught:
        Launcher([child], lambda _: None).run()
    reason, *last = str(caught.value).splitlines()
    assert reason.endswith(f"before it was ready; its log: {log}")
    assert last == [f"  word {n}" for n in range(2, 10)]
    said: list[str] = []
    launcher = Launcher([Child("api", ("/bin/sh", "-c", "echo once; exit 3"), dict(os.environ), log)], lambda _: None)

    def report(line: str) -> None:
        said.append(line)
        launcher.stop()

    launcher._report = report
    launcher.run()
    assert said[0].startswith("api ended (exit status 3)")
    assert said[0].endswith("starting it again\n  once")
