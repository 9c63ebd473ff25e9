"""The connection of the takes: what it hands out is the answer to what was asked, or nothing at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, ResponseError

from app.quota.connection import TIMEOUT_S, connect
from app.quota.wire import Wire
from tests.quota.desk import TEN, desk, keep_taking, run, turns_until
from tests.quota.server import Server

PING = ("PING",)
Writer = asyncio.StreamWriter


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[Wire]:
    client = connect(url)
    wire = await Wire.open(client)
    try:
        yield wire
    finally:
        wire.close()
        await client.aclose()


@asynccontextmanager
async def peer(say: Callable[[Writer], Any]) -> AsyncIterator[Wire]:
    """A server that greets as Redis does and then says what it is told to, to every PING."""

    async def serve(reader: asyncio.StreamReader, writer: Writer) -> None:
        while line := await reader.readline():
            if not line.startswith(b"*"):
                continue
            words = []
            for _ in range(int(line[1:])):
                await reader.readline()
                words.append((await reader.readline()).strip())
            if words[0] == b"PING":
                say(writer)
            else:
                writer.write(b"+OK\r\n")
        writer.close()
        await writer.wait_closed()

    serving = list[asyncio.Task[None]]()

    def accept(reader: asyncio.StreamReader, writer: Writer) -> None:
        serving.append(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        async with wired(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0") as wire:
            yield wire
    finally:
        server.close()
        await asyncio.gather(*serving, return_exceptions=True)


def test_replies_are_in_order_and_errors_are_values(valkey: Server) -> None:
    async def scenario() -> None:
        async with wired(valkey.url) as wire:
            commands = [("SET", "a", 7), ("GET", "a"), ("EVALSHA", "0" * 40, 0), ("NO", b"\xff"), ("MGET", "a", "b")]
            for _ in range(2):
                found = await wire.call(commands)
                assert found[:2] == [b"OK", b"7"]
                assert [type(found[2]), type(found[3])] == [NoScriptError, ResponseError]
                assert found[4:] == [[b"7", None]]
            assert wire.usable

    run(scenario())


def test_replies_in_pieces() -> None:
    async def scenario() -> None:
        async def slowly(writer: Writer) -> None:
            for byte in b"*2\r\n:12\r\n$3\r\nabc\r\n":
                writer.write(bytes([byte]))
                await writer.drain()

        tasks = list[asyncio.Task[None]]()
        async with peer(lambda writer: tasks.append(asyncio.ensure_future(slowly(writer)))) as wire:
            assert await wire.call([PING]) == [[12, b"abc"]]
            assert wire.usable
            await asyncio.gather(*tasks)

    run(scenario())


@pytest.mark.parametrize(
    "say",
    [
        lambda writer: writer.close(),
        lambda writer: writer.write(b"!no protocol\r\n"),
        lambda writer: writer.write(b"+one\r\n+two\r\n"),
        lambda writer: (writer.write(b"+half"), writer.close()),
    ],
    ids=["closed", "nonsense", "too many", "closed in the middle"],
)
def test_an_answer_that_is_none_ends_the_connection(say: Callable[[Writer], Any]) -> None:
    async def scenario() -> None:
        async with peer(say) as wire:
            with pytest.raises(LostError):
                await wire.call([PING])
            assert not wire.usable
            with pytest.raises(LostError):
                await wire.call([PING])

    run(scenario())


def test_what_nobody_asked_for_answers_nobody() -> None:
    async def scenario() -> None:
        writers = list[Writer]()

        def answer(writer: Writer) -> None:
            writers.append(writer)
            writer.write(b"+PONG\r\n")

        async with peer(answer) as wire:
            assert await wire.call([PING]) == [b"PONG"]
            writers[0].write(b"+late\r\n")
            await turns_until(lambda: not wire.usable)

    run(scenario())


def test_a_caller_who_gave_up_leaves_no_reply_to_the_next(mortal_valkey: Server) -> None:
    """A server that hangs for longer than anybody waits: its late replies must not become answers."""

    async def scenario() -> None:
        async with desk(mortal_valkey.url, timeout_s=10 * TIMEOUT_S) as d:
            assert (await d.limiter.take(1, TEN)).remaining == 9
            mortal_valkey.pause()
            assert (await d.limiter.take(2, TEN)).remaining == 4  # of the local share
            mortal_valkey.resume()
            await keep_taking(d.limiter, lambda: len(d.transitions) == 2)
            assert [(await d.limiter.take(1, TEN)).remaining for _ in range(2)] == [8, 7]

        async with desk(mortal_valkey.url) as d:  # the call that timed out was carried out, once
            assert (await d.limiter.take(2, TEN)).remaining == 8

    run(scenario())


def test_password_and_database(tcp_valkey: Server) -> None:
    async def scenario() -> None:
        url = tcp_valkey.url.replace("//", "//:secret@").replace("/0", "/3")
        async with desk(url) as d:
            assert (await d.limiter.take(1, TEN)).remaining == 9
            assert d.limiter.degraded == 0
        async with desk(tcp_valkey.url) as d:
            await d.limiter.take(1, TEN)
            assert d.transitions == [True]  # without the password nobody is counted there

    tcp_valkey.client.config_set("requirepass", "secret")
    run(scenario())
    tcp_valkey.client.config_set("requirepass", "")
    tcp_valkey.client.select(3)
    assert tcp_valkey.client.keys() == ["t:q:{1}:ten"]


def test_the_private_names_of_the_library(valkey: Server) -> None:
    """The transport has no public name in redis-py, so its version is pinned: a new one has to pass this first."""

    async def scenario() -> None:
        client = connect(valkey.url)
        connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        assert isinstance(connection._writer.transport, asyncio.Transport)
        connection._close()
        assert connection._writer is None
        await client.aclose()

    run(scenario())
    assert version("redis").split(".")[:2] == ["8", "1"]
