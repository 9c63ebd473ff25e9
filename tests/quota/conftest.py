"""Servers for the quota tests. Their directories are short: a unix socket's path has 107 bytes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.quota.server import Server


def _serve(*, tcp: bool = False) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="q") as directory:
        server = Server(Path(directory), tcp=tcp)
        try:
            server.start()
            yield server
        finally:
            server.close()


@pytest.fixture(scope="session")
def shared_valkey() -> Iterator[Server]:
    yield from _serve()


@pytest.fixture
def valkey(shared_valkey: Server) -> Server:
    """The session's server, empty."""
    shared_valkey.client.flushall()
    shared_valkey.client.script_flush()
    shared_valkey.client.config_resetstat()
    return shared_valkey


@pytest.fixture
def mortal_valkey() -> Iterator[Server]:
    """A server for one test, which may kill it."""
    yield from _serve()


@pytest.fixture
def tcp_valkey() -> Iterator[Server]:
    yield from _serve(tcp=True)
