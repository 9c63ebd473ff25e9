"""A TCP proxy that misbehaves on command: it delays, stalls, refuses, or swallows a reply and hangs up.

It runs in a thread with an event loop of its own, so that a test can block and the bytes go on.
"""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, TypeVar

HOST: Final = "127.0.0.1"
CHUNK: Final = 65536

T = TypeVar("T")


class Proxy:
    """Listens on a port of the loopback and connects each client to a Unix socket.

    `connections`, `refused`, `delayed` (chunks) and `cut` (replies swallowed) count what it did.
    """

    def __init__(self, target: Path, seed: object) -> None:
        self._target = str(target)
        self._rng = random.Random(f"{seed}/proxy")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._latency: tuple[float, float] | None = None
        self._swallows: Callable[[bytes], bool] | None = None
        self._keep = 0
        self._links: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[Any]] = set()
        self.connections = self.refused = self.delayed = self.cut = 0
        self._server = self._call(self._listen())
        self.port = int(self._server.sockets[0].getsockname()[1])

    def delay(self, seconds: float, jitter: float) -> None:
        """Hold every chunk, both ways together, for `seconds` +- `jitter`; 0 = not any more."""
        self._latency = (seconds, jitter) if seconds else None

    def stall(self) -> None:
        """Let nothing through until `heal`; connections stay open."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def refuse(self) -> None:
        """Hang up on everybody, now and until `heal`."""
        self._refusing = True
        self._loop.call_soon_threadsafe(self._hang_up)

    def swallow(self, matches: Callable[[bytes], bool], keep: int = 0) -> None:
        """Pass only the first `keep` bytes of the next reply chunk that `matches`, and break its connection. Once."""
        self._keep = keep
        self._swallows = matches

    def heal(self) -> None:
        """Behave like a wire again."""
        self._refusing, self._latency, self._swallows = False, None, None
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._hang_up)
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, work: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, HOST, 0, limit=CHUNK)

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._pumps):
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def _hang_up(self) -> None:
        for writer in list(self._links):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            self.refused += 1
            writer.transport.abort()
            return
        try:
            upstream_reader, upstream = await asyncio.open_unix_connection(self._target, limit=CHUNK)
        except OSError:
            self.refused += 1
            writer.transport.abort()
            return
        self.connections += 1
        self._links |= {writer, upstream}
        pumps = [
            asyncio.ensure_future(self._pump(reader, upstream, replies=False)),
            asyncio.ensure_future(self._pump(upstream_reader, writer, replies=True)),
        ]
        self._pumps |= set(pumps)
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._pumps -= set(pumps)
            for end in (writer, upstream):
                self._links.discard(end)
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, replies: bool) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                await self._flowing.wait()
                if self._latency is not None:
                    self.delayed += 1
                    mean, jitter = self._latency
                    await asyncio.sleep((mean + self._rng.uniform(-jitter, jitter)) / 2)
                if replies and self._swallows is not None and self._swallows(chunk):
                    self._swallows = None
                    self.cut += 1
                    writer.write(chunk[: self._keep])
                    await writer.drain()
                    return
                writer.write(chunk)
                await writer.drain()
        except OSError:
            return
