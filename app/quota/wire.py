"""One connection to Redis for what every request asks: a batch of commands out, as many replies back.

That is the quota, and whether somebody has rung already: the hot path. The library's clients put a pool, locks,
timeouts and statistics around each call, which cost more than the call; here is a transport and a parser in C. The
library still makes the connection, as it knows TLS, passwords and databases, and hands its transport over.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import NoScriptError, RedisError, ResponseError

Command = tuple[bytes | str | int, ...]
#: The replies, in order: of each command its value, or a RedisError as a value. Or why there are none.
Replies = list[Any] | LostError
#: What opening a connection raises.
ERRORS = (RedisError, OSError)


class Wire(asyncio.Protocol):
    """One batch at a time. What goes wrong with one ends the connection: its replies must not answer the next."""

    def __init__(self, connection: AbstractConnection) -> None:
        """`connection` is connected, and from now on only keeps the transport alive."""
        if connection._writer is None:  # noqa: SLF001 - there is no public way to the transport
            raise LostError("not connected")
        self._connection = connection
        # Nothing is left to be read: the greeting ends with a reply that was waited for.
        self._transport = cast(asyncio.Transport, connection._writer.transport)  # noqa: SLF001
        self._transport.set_protocol(self)
        self._replies = hiredis.Reader(replyError=_error)
        self._found: list[Any] = []
        self._wanted = 0
        self._waiter: Callable[[Replies], None] | None = None

    @classmethod
    async def open(cls, client: Redis) -> "Wire":
        """A connection with the settings of this client. Raises RedisError or OSError."""
        connection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        return cls(connection)

    @property
    def usable(self) -> bool:
        """Whether it is connected, as far as is known, and nobody waits for replies."""
        return self._waiter is None and not self._transport.is_closing()

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in order: of each command its value, or a RedisError as a value.

        Raises LostError when the connection ends first. Whoever is cancelled meanwhile has to close the connection.
        """
        if not self.usable:
            raise LostError("not connected, or busy")
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

        def told(replies: Replies) -> None:
            if future.done():
                return
            if isinstance(replies, LostError):
                future.set_exception(replies)
            else:
                future.set_result(replies)

        self.send(commands, told)
        return await future

    def send(self, commands: Sequence[Command], told: Callable[[Replies], None]) -> None:
        """As `call`, on a connection that is `usable`, for who waits for nothing: `told` is called once.

        It is called where the replies are read, and may send again.
        """
        # The stub of pack_command says a tuple of one.
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]
        self._wanted, self._waiter = len(commands), told
        self._transport.write(b"".join(packed))

    def close(self) -> None:
        """At once; replies that are still to come are dropped."""
        self._transport.abort()
        self._connection._close()  # type: ignore[no-untyped-call] # noqa: SLF001 - it would warn that nobody did

    def data_received(self, data: bytes) -> None:
        """Take what has arrived; the replies go out when they are complete."""
        if self._waiter is None:  # nobody asked: whatever it is, it must not become an answer
            self.close()
            return
        try:
            self._replies.feed(data)
            while (reply := self._replies.gets()) is not False:
                self._found.append(reply)
        except hiredis.HiredisError as error:
            self._fail(LostError(str(error)))
            return
        if len(self._found) == self._wanted:
            waiter, self._waiter = self._waiter, None
            found, self._found = self._found, []
            waiter(found)
        elif len(self._found) > self._wanted:
            self._fail(LostError("more replies than commands"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side ended it, or this one did."""
        self._fail(LostError(str(exc or "closed")))

    def _fail(self, error: LostError) -> None:
        waiter, self._waiter = self._waiter, None
        self.close()
        if waiter is not None:
            waiter(error)


def _error(text: str) -> ResponseError:
    return NoScriptError(text) if text.startswith("NOSCRIPT") else ResponseError(text)
