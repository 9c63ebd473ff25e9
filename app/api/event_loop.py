"""The event loop of an API process: uvloop, with its own way of accepting. `uvicorn --loop app.api.event_loop:Loop`.

uvloop accepts one connection each time that the loop turns. While it has much to do a turn takes milliseconds, and
whoever opens many connections keeps all others waiting behind them. Here every turn takes many connections from the
system, and begins some of them: one of each address, then the next one of each.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import uvloop

from app.adapters import runtime
from app.services.connections import newcomers
from app.services.fair_queue import FairQueue
from app.services.networks import client_address, origin

#: Connections that a turn of the loop takes from the system, and connections that it begins. Taking one costs about
#: 10 microseconds, beginning one 100.
TAKEN_PER_TURN: Final = 256
BEGUN_PER_TURN: Final = 32
#: How long nothing is accepted when the system has no descriptor or no memory for it.
PAUSE_SECONDS: Final = 0.1
#: The connection is gone already: the next one may be well.
_GONE: Final = frozenset((errno.ECONNABORTED, errno.EPROTO, errno.EPERM))

ProtocolFactory = Callable[[], asyncio.BaseProtocol]


class Loop(uvloop.Loop):
    """uvloop with a fair way of accepting."""

    async def create_server(
        self,
        protocol_factory: ProtocolFactory,
        host: Any = None,
        port: Any = None,
        *,
        sock: Any = None,
        backlog: int = 2048,
        **others: Any,
    ) -> Any:
        """A `Server` on a host or several, or on a socket. Raises OSError, also where a host is not known.

        Of the other options none has an effect here, so they have to be empty (TLS ends at the proxy in front).
        """
        if any(others.values()):
            raise TypeError(f"not supported: {', '.join(others)}")
        if sock is not None and sock.family == socket.AF_UNIX and not isinstance(sock.getsockname(), str):
            # uvicorn takes what it has inherited for a Unix socket. Made from its descriptor, it says what it is.
            sock = socket.socket(fileno=sock.detach())
        sockets = [sock] if sock is not None else await self._bound(host, port or 0, backlog)
        for one in sockets:
            one.settimeout(0)
            one.listen(backlog)
        return Server(self, protocol_factory, sockets)

    async def _bound(self, host: str | Sequence[str] | None, port: int, backlog: int) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        try:
            for name in [host] if host is None or isinstance(host, str) else host:
                found = await self.getaddrinfo(name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
                for family, address in dict.fromkeys((info[0], info[4]) for info in found):
                    sockets.append(socket.create_server(address, family=family, backlog=backlog))
        except OSError:
            for made in sockets:
                made.close()
            raise
        return sockets


class Server(asyncio.AbstractServer):
    """Accepts connections on its sockets until it is closed."""

    def __init__(self, loop: Loop, protocol_factory: ProtocolFactory, sockets: list[socket.socket]) -> None:
        """The sockets listen already, and do not block."""
        self._loop = loop
        self._protocol_factory = protocol_factory
        self._sockets = sockets
        #: Taken from the system, and not begun yet.
        self._newcomers: FairQueue[socket.socket] = FairQueue()
        self._most_newcomers = newcomers(runtime.descriptors())
        self._next_turn: asyncio.Handle | None = None
        #: Sockets that are not looked at for now.
        self._paused: dict[socket.socket, asyncio.TimerHandle | None] = {}
        self._beginning: set[asyncio.Task[Any]] = set()
        for one in sockets:
            loop.add_reader(one, self._take, one)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        return tuple(self._sockets)

    def get_loop(self) -> Loop:
        return self._loop

    def is_serving(self) -> bool:
        return bool(self._sockets)

    async def start_serving(self) -> None:
        """It serves from the beginning."""

    async def serve_forever(self) -> None:
        """Returns when it is cancelled; then nothing more is accepted."""
        try:
            await self._loop.create_future()
        finally:
            self.close()

    def close(self) -> None:
        """Accept nothing more. Connections that were begun live on."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            self._loop.remove_reader(one)
            one.close()
        for timer in self._paused.values():
            if timer is not None:
                timer.cancel()
        self._paused = {}
        if self._next_turn is not None:
            self._next_turn.cancel()
        while self._newcomers:
            self._newcomers.take().close()

    async def wait_closed(self) -> None:
        """Nothing to wait for: whoever serves knows its connections."""

    def _take(self, listening: socket.socket) -> None:
        """Take what has come, as far as there is room for it, and begin some of it."""
        for _ in range(min(TAKEN_PER_TURN, self._most_newcomers - len(self._newcomers))):
            try:
                connection, peer = listening.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in _GONE:
                    continue
                self._pause(listening, self._loop.call_later(PAUSE_SECONDS, self._resume, listening))
                break
            connection.settimeout(0)
            self._newcomers.add(_owner(connection, peer), connection)
        else:
            if len(self._newcomers) >= self._most_newcomers:
                self._pause(listening, None)
        if self._newcomers and self._next_turn is None:
            self._begin_some()

    def _pause(self, listening: socket.socket, timer: asyncio.TimerHandle | None) -> None:
        self._loop.remove_reader(listening)
        self._paused[listening] = timer

    def _resume(self, listening: socket.socket) -> None:
        del self._paused[listening]
        self._loop.add_reader(listening, self._take, listening)

    def _begin_some(self) -> None:
        self._next_turn = None
        for _ in range(min(BEGUN_PER_TURN, len(self._newcomers))):
            task = self._loop.create_task(self._begin(self._newcomers.take()))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)
        if self._newcomers:
            self._next_turn = self._loop.call_soon(self._begin_some)
        for listening in [one for one, timer in self._paused.items() if timer is None]:
            self._resume(listening)

    async def _begin(self, connection: socket.socket) -> None:
        with suppress(OSError):  # its client is gone already
            await self._loop.connect_accepted_socket(
                cast("Callable[[], asyncio.Protocol]", self._protocol_factory), connection
            )
            return
        connection.close()


def _owner(connection: socket.socket, peer: Any) -> str:
    internet = connection.family in (socket.AF_INET, socket.AF_INET6)
    return origin(client_address(peer[0] if internet else None, (), ()))
