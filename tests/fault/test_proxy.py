"""The proxy passes everything on, until it is told not to."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fault.proxy import HOST, Proxy


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """Before a server that echoes what it gets."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "echo"))
        server.listen()
        threading.Thread(target=_echo, args=(server,), daemon=True).start()
        made = Proxy(tmp_path / "echo", 1)
        yield made
        made.close()


def _echo(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        while received := connection.recv(1000):
            connection.sendall(received)


def ask(proxy: Proxy, words: bytes) -> bytes:
    """What comes back, until an end or as much as was sent."""
    with closing(socket.create_connection((HOST, proxy.port), timeout=5)) as connection:
        got = b""
        try:
            connection.sendall(words)
            while len(got) < len(words) and (more := connection.recv(1000)):
                got += more
        except ConnectionError:
            pass
        return got


def test_a_wire_a_cut_and_a_wire_again(proxy: Proxy) -> None:
    assert ask(proxy, b"hello") == b"hello"
    proxy.swallow(lambda reply: b"secret" in reply, keep=2)
    assert ask(proxy, b"hello") == b"hello"
    assert (ask(proxy, b"a secret"), proxy.cut) == (b"a ", 1)
    assert ask(proxy, b"a secret") == b"a secret"  # once only
    proxy.delay(0.02, 0.01)
    assert ask(proxy, b"late") == b"late"
    assert proxy.delayed >= 2
    proxy.refuse()
    assert ask(proxy, b"hello") == b""
    proxy.heal()
    assert ask(proxy, b"hello") == b"hello"
    assert (proxy.connections, proxy.refused) == (6, 1)
