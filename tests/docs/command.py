"""`onefold` for many calls in a row: a process that has imported the command line already, and forks for each call.

An import of everything takes longer than most commands do. What runs is the same code; that the installed script starts
it is the business of tests/e2e.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.polling import until

#: Stands in the PATH as `onefold`: hands over arguments, folder, environment and streams, and ends as the call does.
_CLIENT: Final = """\
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    call = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [call], [0, 1, 2])
    sys.exit(int(server.recv(4) or b"70"))
"""


@contextmanager
def forking(folder: Path, env: Mapping[str, str]) -> Iterator[Path]:
    """A folder with an `onefold` in it, as long as the block lasts. `folder` has a short path (Unix sockets)."""
    path = folder / "s"
    (folder / "client.py").write_text(_CLIENT)
    script = folder / "onefold"
    script.write_text(f"#!/bin/sh\nexec '{sys.executable}' -IS '{folder}/client.py' '{path}' \"$@\"\n")
    script.chmod(0o755)
    root = Path(__file__).parents[2]
    server = subprocess.Popen([sys.executable, "-m", "tests.docs.command", str(path)], cwd=root, env=dict(env))
    try:
        until(lambda: path.exists() or server.poll() is not None, timeout=60, message="no command line to fork from")
        assert server.poll() is None
        yield folder
    finally:
        server.terminate()
        server.wait(10)


def serve(path: str) -> None:
    """Fork for every caller, for ever."""
    from app.cli.main import main
    from app.cli.reference import commands

    list(commands())  # imports every command
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            caller, _ = listener.accept()
            with caller:
                message, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    arguments, folder, env = json.loads(message)
                    status = _call(main, arguments, folder, env, streams)
                    caller.sendall(b"%d" % status)
                    os._exit(0)
                for stream in streams:
                    os.close(stream)


def _call(main: Callable[[], None], arguments: list[str], folder: str, env: dict[str, str], streams: list[int]) -> int:
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["onefold", *arguments]
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    else:
        status = 0
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(sys.argv[1])
