"""A forked process beside one that was started anew: nobody can tell one from the other, but for its title."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.adapters import forking

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not forking.CAN_FORK, reason="no system to fork on")

#: Starts children as the launcher would: a process without other threads, with signals taken, files open and words
#: that were not written yet. What it prints: a line for each child, its status.
START = """
import json, os, signal, socket, sys
from pathlib import Path
from app.adapters.processes import Child, spawn
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGINT, lambda *_: None)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
pair = socket.socketpair()
pair[1].setblocking(False)
signal.set_wakeup_fd(pair[1].fileno())
kept = open(sys.argv[2] + "/kept", "w")
os.set_inheritable(kept.fileno(), True)
import atexit
atexit.register(print, "for the launcher alone")
print("begun")
for n, given in enumerate(json.loads(sys.argv[1])):
    log = Path(sys.argv[2]) / f"{n}.log"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": os.getcwd(), "PYTHONUNBUFFERED": "1"}
    print(spawn(Child(log=log, env=env, **given)).wait())
"""
LOOK = """
import json, os, signal, sys
from pathlib import Path
import app.adapters.forking
taken = {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()}
print(json.dumps({
    "arguments": sys.argv[1:],
    "name": __name__,
    "environment": {name: value for name, value in os.environ.items() if not name.startswith("LC_")},
    "leads its session": os.getsid(0) == os.getpgid(0) == os.getpid(),
    "signals": taken,
    "blocked": list(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "wakes": signal.set_wakeup_fd(-1),
    "input": sys.stdin.read(),
    "open": sorted(number for number in range(3, 64) if Path(f"/proc/self/fd/{number}").exists()),
}))
"""


def started(folder: Path, *children: dict[str, Any]) -> list[str]:
    """What the process printed that started these."""
    return subprocess.run(
        [sys.executable, "-c", START, json.dumps(children), str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()


def text(program: str, *arguments: str, fork: bool) -> dict[str, Any]:
    return {
        "name": "looker",
        "argv": [sys.executable, "-P", "-c", program, *arguments],
        "fork": ["json"] if fork else [],
    }


def test_a_forked_process_is_what_one_that_was_started_anew_is(tmp_path: Path) -> None:
    printed = started(tmp_path, text(LOOK, "a b", "c", fork=True), text(LOOK, "a b", "c", fork=False))
    assert printed == ["begun", "0", "0", "for the launcher alone"]
    forked, anew = (json.loads((tmp_path / f"{n}.log").read_text()) for n in range(2))
    assert forked == anew
    assert anew["environment"] == {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    assert (anew["open"], anew["wakes"], anew["input"], anew["leads its session"]) == ([], -1, "", True)


ENDS = [
    ("", 0, ""),
    ("import sys; sys.exit(3)", 3, ""),
    ("import sys; sys.exit(259)", 3, ""),
    ("import sys; sys.exit('no')", 1, "no\n"),
    ("raise SystemExit", 0, ""),
    ("import os; os._exit(4)", 4, ""),
    ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15, ""),
    ("import threading, time; threading.Thread(target=lambda: (time.sleep(0.05), print('late'))).start()", 0, "late\n"),
    ("import atexit; atexit.register(print, 'bye')", 0, "bye\n"),
    ("import atexit, sys; atexit.register(print, 'bye'); sys.exit('no')", 1, "no\nbye\n"),
    ("print('out'); raise KeyError('x')", 1, None),
]


def test_a_forked_process_ends_as_python_does(tmp_path: Path) -> None:
    printed = started(tmp_path, *(text(program, fork=fork) for program, _, _ in ENDS for fork in (True, False)))
    assert [int(line) for line in printed[1:-1]] == [status for _, status, _ in ENDS for _ in range(2)]
    for n, (program, _, written) in enumerate(ENDS):
        forked, anew = ((tmp_path / f"{2 * n + m}.log").read_text() for m in range(2))
        if written is None:  # whose traceback has other frames
            assert [said.split("\n")[:: len(said.split("\n")) - 2] for said in (forked, anew)] == [
                ["out", "KeyError: 'x'"]
            ] * 2
        else:
            assert (program, forked, anew) == (program, written, written)


def test_ps_shows_what_it_is(tmp_path: Path) -> None:
    show = "print(open('/proc/self/cmdline').read().rstrip(chr(0)))"
    module = [sys.executable, "-m", "timeit", "-n", "1", "-r", "1", show]
    started(tmp_path, text(show, "-A", "x", fork=True), {"name": "teller", "argv": module, "fork": ["timeit"]})
    assert (tmp_path / "0.log").read_text() == "onefold looker: -A x\n"
    assert (tmp_path / "1.log").read_text().startswith(f"onefold teller: timeit -n 1 -r 1 {show}\n")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((sys.executable, "-P", "-m", "uvicorn", "-P"), ("-m", "uvicorn", "-P")),
        ((sys.executable, "-c", "pass"), ("-c", "pass")),
        ((sys.executable, "-S", "-c", "pass"), None),
        ((sys.executable, "script.py"), None),
        ((sys.executable, "-m"), None),
        ((sys.executable,), None),
        (("/bin/sleep", "-c", "1"), None),
    ],
)
def test_what_can_be_forked(argv: Sequence[str], told: Sequence[str] | None) -> None:
    assert forking.program(argv) == told


def test_nothing_is_forked_beside_other_threads() -> None:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="other threads"):
            forking.fork("x", (sys.executable, "-c", "pass"), {}, None, lambda: None)
    finally:
        end.set()
        thread.join()


_REFUSED = """
import os, sys
from app.adapters import forking

def refuse():
    raise BlockingIOError

os.fork = refuse
before = sorted(os.listdir("/proc/self/fd"))
try:
    forking.fork("x", (sys.executable, "-c", "pass"), {}, None, lambda: None)
except BlockingIOError:
    print(sorted(os.listdir("/proc/self/fd")) == before)
"""


def test_a_fork_that_the_system_refuses_leaves_nothing_open() -> None:
    """In a process of its own: this one has threads of other tests."""
    found = subprocess.run((sys.executable, "-c", _REFUSED), capture_output=True, text=True, check=True, timeout=30)
    assert found.stdout == "True\n"
