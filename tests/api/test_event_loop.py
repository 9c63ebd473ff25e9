"""Accepting connections: many each time that the loop turns, and one address does not delay another."""

import asyncio
import resource
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.event_loop import BEGUN_PER_TURN, PAUSE_SECONDS, TAKEN_PER_TURN, Loop
from app.services.connections import MAX_NEWCOMERS, newcomers
from app.services.fair_queue import FairQueue
from tests.api.http_server import soon

#: More than may wait to begin.
CROWD: Final = MAX_NEWCOMERS + 400
STRANGER: Final = "127.0.0.9"


class Begun(asyncio.Protocol):
    """Notes when its connection began, in turns of the loop."""

    def __init__(self, listening: "Listening") -> None:
        self._listening = listening

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._listening.begun[peer[0] if peer else ""].append(self._listening.turns)
        self._listening.transports.append(transport)


class Listening:
    """What began so far: address -> the turns in which its connections began."""

    def __init__(self) -> None:
        self.turns = 0
        self.begun: defaultdict[str, list[int]] = defaultdict(list)
        self.transports: list[asyncio.BaseTransport] = []
        self.clients: list[socket.socket] = []

    def count(self) -> int:
        return sum(map(len, self.begun.values()))

    def connect(self, server: Any, address: str, times: int = 1) -> None:
        """Connections whose clients wait for nothing."""
        for _ in range(times):
            client = socket.socket()
            client.bind((address, 0))
            client.connect(server.sockets[0].getsockname())
            self.clients.append(client)

    async def all_begun(self) -> None:
        async with asyncio.timeout(30):
            while self.count() < len(self.clients):
                self.turns += 1
                await asyncio.sleep(0)


def run(test: Callable[[Listening], Any]) -> Listening:
    listening = Listening()
    with _descriptors(4 * CROWD), asyncio.Runner(loop_factory=Loop) as runner:
        try:
            runner.run(test(listening))
        finally:
            for client in listening.clients:
                client.close()
    return listening


@contextmanager
def _descriptors(count: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count if hard == resource.RLIM_INFINITY else min(count, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def listen(listening: Listening, host: Any = "127.0.0.1") -> Any:
    return await asyncio.get_running_loop().create_server(lambda: Begun(listening), host, 0, backlog=2048)


def test_who_stands_behind_a_crowd_of_one_address_begins_soon() -> None:
    async def test(listening: Listening) -> None:
        server = await listen(listening)
        listening.connect(server, "127.0.0.2", CROWD)
        listening.connect(server, STRANGER)
        await listening.all_begun()
        server.close()

    listening = run(test)
    assert {address: len(turns) for address, turns in listening.begun.items()} == {"127.0.0.2": CROWD, STRANGER: 1}
    room = (CROWD - MAX_NEWCOMERS) / BEGUN_PER_TURN  # before there is room for all of the crowd
    assert listening.begun[STRANGER][0] <= MAX_NEWCOMERS / TAKEN_PER_TURN + room + 3
    assert max(Counter(listening.begun["127.0.0.2"]).values()) <= 2 * BEGUN_PER_TURN


def test_every_address_gets_its_turn() -> None:
    """Forty addresses with as many connections each begin at the same pace."""

    async def test(listening: Listening) -> None:
        server = await listen(listening)
        for n in range(40):
            listening.connect(server, f"127.0.3.{n + 1}", 5)
        await listening.all_begun()
        server.close()

    turns = [max(found) for found in run(test).begun.values()]
    assert max(turns) - min(turns) <= 2


def test_no_descriptors_left() -> None:
    """Nothing is accepted for a moment, without a busy loop; then all are."""

    async def test(listening: Listening) -> None:
        server = await listen(listening)
        listening.connect(server, "127.0.0.2", 20)
        used = psutil.Process().num_fds()
        with _descriptors(used):
            cpu = time.process_time()
            await asyncio.sleep(3 * PAUSE_SECONDS)
            assert time.process_time() - cpu < 2 * PAUSE_SECONDS
            assert listening.count() < 20
        await asyncio.wait_for(listening.all_begun(), 30)
        server.close()

    run(test)


def test_closed_while_newcomers_wait() -> None:
    """They are closed, those that began are not, and the port is free."""

    async def test(listening: Listening) -> None:
        server = await listen(listening)
        port = server.sockets[0].getsockname()[1]
        listening.connect(server, "127.0.0.2", TAKEN_PER_TURN)
        await soon(lambda: listening.count() > 0)
        server.close()
        await server.wait_closed()
        assert not server.is_serving()
        assert 0 < listening.count() < TAKEN_PER_TURN
        assert not any(transport.is_closing() for transport in listening.transports)
        again = await asyncio.get_running_loop().create_server(lambda: Begun(listening), "127.0.0.1", port)
        again.close()

    run(test)


def test_several_hosts_and_a_socket_file(tmp_path: Path) -> None:
    async def test(listening: Listening) -> None:
        loop = asyncio.get_running_loop()
        server = await listen(listening, ["127.0.0.1", "127.0.0.4"])
        assert [one.getsockname()[0] for one in server.sockets] == ["127.0.0.1", "127.0.0.4"]
        with socket.socket(socket.AF_UNIX) as file:
            file.bind(str(tmp_path / "api.sock"))
            local = await loop.create_server(lambda: Begun(listening), sock=file)
            for made in (*server.sockets, file):
                client = socket.socket(made.family)
                client.connect(made.getsockname())
                listening.clients.append(client)
            await listening.all_begun()
            local.close()
        server.close()

    assert {address: len(turns) for address, turns in run(test).begun.items()} == {"127.0.0.1": 2, "": 1}


def test_a_port_that_is_taken_and_options_without_effect() -> None:
    async def test(listening: Listening) -> None:
        server = await listen(listening)
        loop, port = asyncio.get_running_loop(), server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="ddress already in use"):
            await loop.create_server(lambda: Begun(listening), ["127.0.0.4", "127.0.0.1"], port)
        with pytest.raises(TypeError, match="reuse_port"):
            await loop.create_server(lambda: Begun(listening), "127.0.0.1", 0, reuse_port=True)
        (await loop.create_server(lambda: Begun(listening), "127.0.0.4", port)).close()  # it was closed again
        server.close()

    run(test)


@pytest.mark.parametrize(("descriptors", "most"), [(1 << 20, MAX_NEWCOMERS), (1024, 256), (3, 1)])
def test_newcomers_leave_descriptors(descriptors: int, most: int) -> None:
    assert newcomers(descriptors) == most


@given(st.lists(st.one_of(st.none(), st.sampled_from("abcd"))))
def test_fair_queue(steps: list[str | None]) -> None:
    """Of one owner first in, first out; whoever waits sees each other owner at most once before its own turn.

    A letter adds an item of that owner, None takes one.
    """
    queue: FairQueue[tuple[str, int]] = FairQueue()
    waiting: dict[str, list[int]] = defaultdict(list)
    passed: dict[str, Counter[str]] = defaultdict(Counter)
    for n, step in enumerate(steps):
        if step is not None:
            queue.add(step, (step, n))
            waiting[step].append(n)
        elif any(waiting.values()):
            owner, item = queue.take()
            assert item == waiting[owner].pop(0)
            passed[owner].clear()
            for other, items in waiting.items():
                if items and other != owner:
                    passed[other][owner] += 1
                    assert passed[other][owner] <= 1
        else:
            with pytest.raises(IndexError):
                queue.take()
        assert len(queue) == sum(map(len, waiting.values()))
