"""The HTTP protocol of the API over an application that tells what it was asked, and raw connections to it.

Client and server share one event loop, so a test knows when the server has read a packet, and can send the next.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import uvicorn
from uvicorn.server import ServerState

from app.api.event_loop import Loop
from app.api.protocol import Protocol
from app.services.connections import ConnectionLimits, Connections
from app.services.networks import Network

LIMITS: Final = ConnectionLimits(most=64, most_per_address=32, head_seconds=5, send_seconds=5)
#: Ends a conversation: the server answers it and closes.
LAST: Final = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Json


class Counting(Protocol):
    """Knows how much of its connection it has read, and the most that it kept unparsed."""

    is_made = False
    received = 0
    most_unparsed = 0
    #: Those of open connections, by the port of the client.
    by_port: ClassVar[dict[int, "Counting"]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.by_port[transport.get_extra_info("peername")[1]] = self
        super().connection_made(transport)
        self.is_made = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.by_port.pop(self.http.client[1] if self.http.client else 0, None)
        super().connection_lost(exc)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += nbytes
        super().buffer_updated(nbytes)
        self.most_unparsed = max(self.most_unparsed, len(self.http._unparsed))

    def stalls(self) -> bool:
        """Whether it reads nothing for now."""
        return self.http.transport.is_closing() or self.http.flow.read_paused


@dataclass
class Server:
    """A running server."""

    port: int
    connections: Connections
    state: ServerState
    protocols: list[Counting] = field(default_factory=list)
    clients: list["Client"] = field(default_factory=list)
    #: What the application was asked: every request that reached its end, or its client's.
    asked: list[Json] = field(default_factory=list)
    #: Requests for /held wait for it.
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        path, body, whole = scope["path"], b"", path_is_read(scope["path"])
        while whole:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] == "http.disconnect":
                self.asked.append({"gone": path})
                return
            whole = message["more_body"]
        if path == "/held":
            await self.release.wait()
        seen = {
            "method": scope["method"],
            "path": path,
            "headers": sorted([name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]),
            "body": body.decode("latin-1"),
        }
        self.asked.append(seen)
        answer = b"x" * 50_000_000 if path == "/large" else json.dumps(seen).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def connect(self, address: str = "127.0.0.1") -> "Client":
        known = len(self.protocols)
        connection = socket.socket()
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        await soon(lambda: len(self.protocols) > known and self.protocols[-1].is_made)
        self.clients.append(Client(connection, self.protocols[-1]))
        return self.clients[-1]

    async def talk(self, parts: Iterable[bytes]) -> list[Answer]:
        """Everything that a connection of its own is answered, when these packets arrive one after another."""
        client = await self.connect()
        try:
            for part in parts:
                await client.send(part)
            return answers(await client.rest())
        finally:
            client.close()


def path_is_read(path: str) -> bool:
    return path != "/unread"


@dataclass
class Client:
    """One connection, and the server's end of it."""

    socket: socket.socket
    protocol: Counting
    sent: int = 0

    async def send(self, data: bytes) -> None:
        """Send it, and wait until the server has read it, or reads nothing more for now."""
        before, self.sent = self.protocol.received, self.sent + len(data)
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
        except ConnectionError:
            return  # refused meanwhile
        await soon(lambda: self.protocol.received >= self.sent or self.stalled(before))

    def stalled(self, before: int) -> bool:
        return self.protocol.stalls() and (self.protocol.received > before or self.protocol.http.transport.is_closing())

    async def rest(self) -> bytes:
        """What the server sends until it closes."""
        received, loop = bytearray(), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(10):
                while data := await loop.sock_recv(self.socket, 1 << 20):
                    received += data
        except ConnectionResetError:
            pass
        return bytes(received)

    async def answer(self) -> Answer:
        """The next answer."""
        received, loop = b"", asyncio.get_running_loop()
        async with asyncio.timeout(10):
            while True:
                data = await loop.sock_recv(self.socket, 1 << 16)
                assert data, "closed"
                received += data
                head, end, body = received.partition(b"\r\n\r\n")
                if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
                    (found,) = answers(received)
                    return found

    def close(self) -> None:
        self.socket.close()


def answers(received: bytes) -> list[Answer]:
    """The answers in it, one behind the other and nothing between them. Those that say 100 are left out."""
    found = []
    while received:
        head, end, received = received.partition(b"\r\n\r\n")
        assert end, head
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        if status == "100":
            continue
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers["content-length"])
        assert headers["content-type"] == "application/json"
        found.append(Answer(int(status), headers, json.loads(received[:size])))
        received = received[size:]
    return found


async def soon(condition: Callable[[], bool]) -> None:
    """Let the event loop turn until it is so."""
    async with asyncio.timeout(10):
        while not condition():
            await _turn()


async def _turn() -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def serving(
    limits: ConnectionLimits = LIMITS, trusted: Sequence[Network] = (), keep_alive: int = 65
) -> AsyncIterator[Server]:
    loop, state = asyncio.get_running_loop(), ServerState()
    server = Server(0, Connections(limits, tuple(trusted)), state)
    config = uvicorn.Config(
        server.application,
        interface="asgi3",
        proxy_headers=False,
        http="app.api.protocol:Protocol",
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=keep_alive,
    )
    config.load()

    def made() -> Counting:
        server.protocols.append(Counting(config, state, {"connections": server.connections}))
        return server.protocols[-1]

    listener = await loop.create_server(made, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        server.release.set()
        listener.close()
        for client in server.clients:
            client.close()
        for protocol in server.protocols:
            protocol.http.transport.abort()
        await listener.wait_closed()


def run(test: Callable[[], Any]) -> None:
    """Run a test in an event loop as the API has it."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(test())
