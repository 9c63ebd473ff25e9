"""Connections that send no request, no end of one, or take no answer: they are closed in time, and make room."""

import asyncio
import time
from dataclasses import replace
from typing import Final

import pytest

from app.services.connections import RESERVED_DESCRIPTORS, fitting
from app.services.networks import parse_network
from tests.api.http_server import LIMITS, Client, Server, answers, run, serving, soon

GET: Final = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HELD: Final = b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n"
HALF: Final = b"GET /x HTTP/1.1\r\nHost"
SECONDS: Final = 0.2
QUICK: Final = replace(LIMITS, head_seconds=SECONDS, send_seconds=SECONDS)
FEW: Final = replace(LIMITS, most=6, most_per_address=4)


async def drip(client: Client, data: bytes) -> None:
    """Send it again and again, for as long as the connection is there."""
    while not client.protocol.http.transport.is_closing():
        await client.send(data)
        await asyncio.sleep(SECONDS / 50)


#: What is sent, what is then sent again and again, and the statuses of the answers that come before the end.
LATE: Final = {
    "nothing": (b"", b"", []),
    "half a head": (HALF, b"", [408]),
    "a head that goes on": (HALF, b"a", [408]),
    "blank lines": (b"", b"\r\n", []),
    "half a head behind a request": (GET + HALF, b"", [200, 408]),
    "a head that goes on behind a request": (GET + HALF, b"a", [200, 408]),
    "blank lines behind a request": (GET, b"\r\n", [200]),
    "a body that goes on behind its answer": (
        b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
        b"a",
        [200],
    ),
    "chunks that go on behind their answer": (
        b"POST /unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n",
        [200],
    ),
    "half a head with an Upgrade": (
        b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
        b"",
        [408],
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_late(name: str) -> None:
    """The time begins with the connection, or with the first byte, and nothing that is sent makes it longer."""
    first, again, statuses = LATE[name]

    async def test() -> None:
        async with serving(QUICK) as server:
            client = await server.connect()
            began = time.monotonic()
            await client.send(first)
            dripping = asyncio.create_task(drip(client, again)) if again else None
            found = answers(await client.rest())
            assert [answer.status for answer in found] == statuses
            assert SECONDS * 0.9 < time.monotonic() - began < SECONDS * 15
            if dripping is not None:
                await dripping
            client.close()
            await soon(lambda: len(server.connections) == 0)
            assert server.connections.late == 1

    run(test)


def test_a_kept_connection_is_closed_after_its_own_time() -> None:
    """Longer than a head may take, and not counted as late."""

    async def test() -> None:
        async with serving(QUICK, keep_alive=1) as server:
            client = await server.connect()
            await client.send(GET)
            assert (await client.answer()).status == 200
            began = time.monotonic()
            assert await client.rest() == b""
            assert 0.9 < time.monotonic() - began < 5
            assert server.connections.late == 0

    run(test)


def test_a_request_in_hand_has_its_time() -> None:
    """The deadline of heads does not count while the application works, nor what is sent meanwhile."""

    async def test() -> None:
        async with serving(QUICK) as server:
            client = await server.connect()
            await client.send(HELD + HALF)
            await asyncio.sleep(SECONDS * 2)
            server.release.set()
            await client.send(b": a\r\nConnection: close\r\n\r\n")
            assert [answer.status for answer in answers(await client.rest())] == [200, 200]

    run(test)


@pytest.mark.parametrize("behind", [b"", GET, HALF])
def test_an_answer_that_nobody_takes(behind: bytes) -> None:
    async def test() -> None:
        async with serving(QUICK) as server:
            client = await server.connect()
            await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n" + behind)
            await soon(lambda: len(server.connections) == 0)
            assert server.connections.late >= 1
            client.close()

    run(test)


def test_an_answer_that_is_taken_slowly() -> None:
    """It takes as long as it takes, while it goes on."""

    async def test() -> None:
        async with serving(QUICK) as server:
            client = await server.connect()
            await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            size, began = 0, time.monotonic()
            while data := await asyncio.get_running_loop().sock_recv(client.socket, 1 << 20):
                size += len(data)
                if time.monotonic() - began < SECONDS * 4:
                    await asyncio.sleep(SECONDS / 4)
            assert size > 50_000_000
            assert server.connections.late == 0

    run(test)


def test_an_answer_that_is_being_taken_is_not_given_up() -> None:
    """Who takes an answer makes no room; afterwards it does."""

    async def test() -> None:
        async with serving(replace(LIMITS, most_per_address=1)) as server:
            client = await server.connect()
            await client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            (answer,) = answers(await (await server.connect()).rest())
            assert answer.status == 503
            size = 0
            while size < 50_000_000:
                size += len(await asyncio.get_running_loop().sock_recv(client.socket, 1 << 20))
            newcomer = await server.connect()
            assert await closed(client)
            await newcomer.send(GET)
            assert (await newcomer.answer()).status == 200

    run(test)


async def closed(client: Client) -> bool:
    return client.protocol.http.transport.is_closing()


async def filled(server: Server, address: str, data: bytes, count: int) -> list[Client]:
    clients = []
    for _ in range(count):
        clients.append(await server.connect(address))
        await clients[-1].send(data)
    return clients


#: What a connection has sent when it waits.
WAITING: Final = {"nothing": b"", "half a head": HALF, "a request": GET}


@pytest.mark.parametrize("name", WAITING)
def test_a_newcomer_takes_the_place_of_who_waited_longest(name: str) -> None:
    """Of its own address only where that has all that it may have; an address never takes those of another."""

    async def test() -> None:
        async with serving(FEW) as server:
            others = await filled(server, "127.0.0.2", WAITING[name], 1)
            clients = await filled(server, "127.0.0.1", WAITING[name], 10)
            assert [await closed(client) for client in clients] == [True] * 6 + [False] * 4
            assert [await closed(client) for client in others] == [False]
            assert (len(server.connections), server.connections.made_room) == (5, 6)
            for client in (*clients[-1:], *others):
                if WAITING[name] == GET:
                    assert (await client.answer()).status == 200
                await client.send(b": a\r\n\r\n" if WAITING[name] == HALF else GET)
                assert (await client.answer()).status == 200

    run(test)


def test_all_places_taken_from_many_addresses() -> None:
    """First go those that never sent a request."""

    async def test() -> None:
        async with serving(FEW) as server:
            used = await filled(server, "127.0.0.2", GET, 2)
            for client in used:
                assert (await client.answer()).status == 200
            halves = [(await filled(server, f"127.0.0.{3 + n}", HALF, 1))[0] for n in range(10)]
            assert [await closed(client) for client in halves] == [True] * 6 + [False] * 4
            assert [await closed(client) for client in used] == [False] * 2

    run(test)


def test_requests_in_hand_are_never_given_up() -> None:
    """Who finds only such is refused: 503 with Retry-After, and the connection is closed."""

    async def test() -> None:
        async with serving(FEW) as server:
            clients = await filled(server, "127.0.0.1", HELD, 4)
            refused = await server.connect()
            (answer,) = answers(await refused.rest())
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.headers["connection"] == "close"
            clients += await filled(server, "127.0.0.2", HELD, 2)
            (answer,) = answers(await (await server.connect("127.0.0.3")).rest())
            assert answer.status == 503
            assert (len(server.connections), server.connections.refused) == (6, 2)
            server.release.set()
            for client in clients:
                assert (await client.answer()).status == 200
            newcomer = await server.connect()
            await newcomer.send(GET)
            assert (await newcomer.answer()).status == 200

    run(test)


def test_a_trusted_proxy_has_the_connections_of_many() -> None:
    async def test() -> None:
        async with serving(FEW, trusted=[parse_network("127.0.0.0/24")]) as server:
            clients = await filled(server, "127.0.0.1", HELD, 6)
            server.release.set()
            for client in clients:
                assert (await client.answer()).status == 200
            assert server.connections.made_room == 0

    run(test)


def test_places_are_given_back() -> None:
    """However a connection ends."""

    async def test() -> None:
        async with serving(FEW) as server:
            for data in (
                b"",
                HALF,
                GET,
                GET + HALF,
                b"junk\r\n\r\n",
                GET * 3,
                b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na",
            ):
                for _ in range(20):
                    client = await server.connect()
                    await client.send(data)
                    client.close()
                await soon(lambda: len(server.connections) == 0)
            assert server.connections.refused == 0

    run(test)


@pytest.mark.parametrize(
    ("most", "descriptors", "expected"),
    [
        (4096, 20_000, 4096),
        (4096, 4096, 4096 - RESERVED_DESCRIPTORS - 1024),
        (4096, 256, 128),
        (1, 20_000, 1),
        (9, 1, 1),
    ],
)
def test_connections_leave_descriptors(most: int, descriptors: int, expected: int) -> None:
    assert fitting(most, descriptors) == expected
