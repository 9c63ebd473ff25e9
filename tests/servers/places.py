"""Where servers live: whose they are, in which directory, on which port."""

import os
import pwd
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


def server_user() -> int | None:
    """Whom servers that refuse to run as root are run by: `nobody` for root, else None, which is ourselves."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Different ports of the loopback that nobody listens on now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def server_home(prefix: str, user: int | None = None, folder: Path | None = None) -> Iterator[Path]:
    """A directory of the server's user (mode 700), with a path short enough for a socket in it."""
    base = (folder or Path(tempfile.gettempdir())).resolve()
    if len(os.fsencode(base)) > 60 or not open_to(base, user):
        base = Path("/tmp")
    home = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
    try:
        if user is not None:
            os.chown(home, user, pwd.getpwuid(user).pw_gid)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def open_to(path: Path, user: int | None) -> bool:
    """Whether the user reaches the path: every directory above may be entered by anybody."""
    return user is None or all(directory.stat().st_mode & stat.S_IXOTH for directory in (path, *path.parents))
