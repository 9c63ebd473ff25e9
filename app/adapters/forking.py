"""A Python program in a process that is forked from this one, which has imported what the program is made of.

An import takes more than a second of CPU for each of our processes, and they import nearly the same. Forked from one
process that has done it once, they start at once, and share what is never written to.

The process is what `python ARGV…` would be, for itself and for everybody who looks at it: environment, arguments,
signals, descriptors, session, and its title in `ps`. What differs: at its end it does not call the functions that were
registered with `atexit` before the fork, which are for this process to call.

Linux only: elsewhere the libraries of the system may not survive a fork.
"""

import atexit
import gc
import os
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

from setproctitle import getproctitle, setproctitle

from app.adapters import runtime

CAN_FORK: Final = sys.platform == "linux"


class Forked:
    """A process that this one forked: as much of subprocess.Popen as the launcher needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def wait(self) -> int:
        """Wait for its end, once: its exit status, or the number of the signal that ended it, negative."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def find_title() -> None:
    """Call before anything of os.environ is changed: the place of the title is found by what lies there at first."""
    getproctitle()


def load(modules: Sequence[str]) -> None:
    """Import what programs are made of that are forked then. Nobody looks for cycles among it, here or there: memory
    that is never written to stays shared.
    """
    with runtime.not_collecting():
        for name in modules:
            import_module(name)
    gc.freeze()


def program(argv: Sequence[str]) -> tuple[str, ...] | None:
    """What the interpreter is told to run: `-m` or `-c`, the module or the text, and its arguments. None where it is
    another program, or is given options that cannot be taken on later.
    """
    if argv[0] != sys.executable:
        return None
    rest = tuple(word for word in argv[1:3] if word != "-P") + tuple(argv[3:])
    return rest if len(rest) > 1 and rest[0] in ("-m", "-c") else None


def fork(
    name: str, argv: Sequence[str], env: Mapping[str, str], output: int | None, first: Callable[[], None]
) -> Forked:
    """Run the program of a Python's command line (`program`), in a process and a session of its own.

    `output` is the descriptor for both of its streams, else they are ours. The new process calls `first` before all
    else. Returns when it can be signalled and killed as if it had been started anew. Raises OSError, and RuntimeError
    where this process has other threads: a lock that one of them holds would be held for ever.
    """
    told = program(argv)
    if told is None:
        raise ValueError(f"{name}: no program that this Python could take over")
    if threading.active_count() > 1:
        raise RuntimeError("a process with other threads cannot be forked from")
    _flush()  # else both would write it
    prepared, ready = os.pipe()
    try:
        pid = os.fork()
    except OSError:  # too many processes, for instance: the launcher tries again and again
        os.close(prepared)
        os.close(ready)
        raise
    if pid == 0:
        _be(name, told, env, output, first, ready)
    os.close(ready)
    try:
        os.read(prepared, 1)  # ends at its death, too
    finally:
        os.close(prepared)
    return Forked(pid)


def _be(
    name: str,
    told: tuple[str, ...],
    env: Mapping[str, str],
    output: int | None,
    first: Callable[[], None],
    ready: int,
) -> NoReturn:
    """The new process from its first moment to its last. Nothing gets out: behind it is the stack of the other one."""
    status = 1
    try:
        atexit._clear()  # noqa: SLF001 - as multiprocessing does it, see below
        os.setsid()
        first()
        _default_signals()
        _streams(output)
        setproctitle(" ".join((f"onefold {name}:", *(told[1:] if told[0] == "-m" else told[2:]))))
        os.environ.clear()
        os.environ.update(env)
        os.write(ready, b"\0")
        os.closerange(3, 1 + max(int(each.name) for each in Path("/proc/self/fd").iterdir()))
        status = _run(*told)
    except BaseException:  # noqa: BLE001
        with suppress(BaseException):
            traceback.print_exc()
    try:
        # As an interpreter ends. multiprocessing does the same, with `atexit` since Python 3.13.
        threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001
        _flush()
    finally:
        os._exit(status)


def _default_signals() -> None:
    """What a handler of ours took has its default again. What is ignored stays ignored, as through an exec."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _streams(output: int | None) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # PYTHONUNBUFFERED was read long ago


def _run(kind: str, what: str, *arguments: str) -> int:
    """As `python -m` or `-c`; its exit status."""
    sys.argv = [kind, *arguments]
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(compile(what, "<string>", "exec"), main.__dict__)  # noqa: S102 - our own text
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        return end.code & 0xFF if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
