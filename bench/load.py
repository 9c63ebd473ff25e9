"""The load generator: its own process, prepared bytes, HTTP/1.1 with keep-alive on bare asyncio protocols.

It shares two cores with what it measures, so it does nothing per request but write bytes and look at the status line.
Started with its bodies as arguments; then each line on stdin is a run (`Run`), answered by a line on stdout (`Result`).
"""

import asyncio
import itertools
import json
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

from bench import data, devices

HOST = "127.0.0.1"
TICK_SECONDS = 0.002
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """`rate` in requests a second; 0 = every connection sends as soon as it has its answer."""

    port: int
    key: str
    connections: int
    seconds: float
    rate: float = 0.0
    #: A further one, "Name: value". Without a `key` it says who sends.
    header: str = ""
    path: str = "/users/track"


@dataclass(slots=True)
class Result:
    """`rate` counts the 201s inside the time; `accepted` also those that came in after it."""

    rate: float = 0.0
    accepted: int = 0
    failed: int = 0
    median_ms: float = 0.0
    p99_ms: float = 0.0
    #: Status lines that were not 201, or what went wrong.
    failures: list[str] = field(default_factory=list)


class _Client(asyncio.Protocol):
    """One connection with at most one request in flight."""

    def __init__(self, session: "_Session") -> None:
        self._session = session
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, received: bytes) -> None:
        buffer = self._buffer + received if self._buffer else received
        end = buffer.find(b"\r\n\r\n")
        if end < 0 or len(buffer) < end + 4 + _length(buffer, end):
            self._buffer = buffer
            return
        self._buffer = b""
        self._session.answered(self, buffer, time.perf_counter() - self._sent_at)

    def connection_lost(self, exc: Exception | None) -> None:
        self._session.lost(exc)


def _length(buffer: bytes, end: int) -> int:
    at = buffer.lower().find(b"content-length:", 0, end)
    return int(buffer[at + 15 : buffer.index(b"\r\n", at)]) if at >= 0 else 0


class _Session:
    """One run."""

    def __init__(self, run: Run, requests: Iterator[bytes]) -> None:
        self._run = run
        self._requests = requests
        #: In turns, since a connection that has never sent anything is closed after a while.
        self._idle = deque[_Client]()
        self._sent = self._answered = self._in_time = 0
        self._deadline = 0.0
        self._latencies: list[float] = []
        self._closing = False
        self.result = Result()

    async def measure(self) -> Result:
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: _Client(self), HOST, self._run.port))[1]
            for _ in range(self._run.connections)
        ]
        start = time.perf_counter()
        self._deadline = start + self._run.seconds
        if self._run.rate:
            self._idle.extend(clients)
            while (now := time.perf_counter()) < self._deadline and not self.result.failed:
                due = int((now - start) * self._run.rate) - self._sent
                for _ in range(min(due, len(self._idle))):
                    self._send(self._idle.popleft())
                await asyncio.sleep(TICK_SECONDS)
        else:
            for client in clients:
                self._send(client)
            await asyncio.sleep(self._run.seconds)
        limit = time.perf_counter() + PATIENCE_SECONDS
        while self._answered < self._sent and time.perf_counter() < limit and not self.result.failed:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self._closing = True
        for client in clients:
            if client._transport is not None:  # noqa: SLF001 - the class above
                client._transport.abort()  # noqa: SLF001
        return self._summary()

    def _send(self, client: _Client) -> None:
        self._sent += 1
        client.send(next(self._requests))

    def answered(self, client: _Client, answer: bytes, seconds: float) -> None:
        self._answered += 1
        if answer.startswith(b"HTTP/1.1 201"):
            self.result.accepted += 1
            self._latencies.append(seconds)
        else:
            self._fail(answer[:200].decode(errors="replace"))
        if time.perf_counter() >= self._deadline:
            return
        self._in_time += 1
        if self._run.rate:
            self._idle.append(client)
        else:
            self._send(client)

    def lost(self, error: Exception | None) -> None:
        if not self._closing:
            self._fail(f"connection lost: {error}")

    def _fail(self, what: str) -> None:
        self.result.failed += 1
        if len(self.result.failures) < 3:
            self.result.failures.append(what)

    def _summary(self) -> Result:
        result, found = self.result, sorted(self._latencies)
        result.failed += self._sent - self._answered
        result.rate = self._in_time / self._run.seconds
        if found:
            result.median_ms = found[len(found) // 2] * 1000
            result.p99_ms = found[len(found) * 99 // 100] * 1000
        return result


def rendered(run: Run, body: bytes) -> bytes:
    """A whole HTTP request."""
    further = f"Authorization: Bearer {run.key}\r\n" if run.key else ""
    further += f"{run.header}\r\n" if run.header else ""
    head = (
        f"POST {run.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n{further}\r\n"
    )
    return head.encode() + body


def main(count: int, users: int, distribution: str, seed: int, objects: int) -> None:
    """Make the bodies, say so, and serve runs until stdin ends."""
    if distribution == devices.DEVICES:
        bodies = devices.batches(count, seed)
    else:
        bodies = data.bodies(count, users, distribution, seed, objects)
    print("ready", flush=True)
    requests: dict[tuple[str, str, str], Iterator[bytes]] = {}
    for line in sys.stdin:
        run = Run(**json.loads(line))
        what = run.key, run.header, run.path
        if what not in requests:
            requests[what] = itertools.cycle([rendered(run, body) for body in bodies])
        result = uvloop.run(_Session(run, requests[what]).measure())
        print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
