"""How requests of devices arrive: some twice, also at the same moment, and some cut off in the middle.

One thread sends for all devices, over a number of kept connections. A request is sent until it is answered 2xx, as an
SDK does it: after no answer, 429 and 503.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from fault.clients import ANSWER_SECONDS, HOST, PATIENCE_SECONDS
from fault.devices import Delivery, Device

CONNECTIONS: Final = 96
TWICE: Final = 0.05
CUT: Final = 0.01
#: Seconds before another try: at first, and at most.
WAIT: Final = (0.1, 2.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Status 0 = nothing."""

    status: int = 0
    headers: Any = ()
    body: bytes = b""

    @property
    def request_id(self) -> str:
        return str(self.headers["x-request-id"])


class Connections:
    """Connections to the API, each with one request at a time."""

    def __init__(self, ports: Sequence[int], most: int = CONNECTIONS) -> None:
        self._ports = ports
        self._opened = 0
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._slots = asyncio.Semaphore(most)

    async def ask(self, data: bytes) -> Answer:
        """Send a request, and read its answer."""
        async with self._slots:
            writer = None
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    reader, writer = self._free.pop() if self._free else await self._open()
                    writer.write(data)
                    answer = await _answer(reader)
            except (OSError, EOFError, asyncio.LimitOverrunError):  # a time-out is an OSError
                if writer is not None:
                    writer.close()
                return Answer()
            if answer.headers.get("connection") == "close":
                writer.close()
            else:
                self._free.append((reader, writer))
            return answer

    async def cut(self, data: bytes, at: int) -> None:
        """Send the first `at` bytes of a request, and close the connection."""
        async with self._slots:
            with suppress(OSError):
                _, writer = await self._open()
                writer.write(data[:at])
                await writer.drain()
                writer.close()

    def close(self) -> None:
        for _, writer in self._free:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._opened += 1
        return await asyncio.open_connection(HOST, self._ports[self._opened % len(self._ports)])


@asynccontextmanager
async def connected(ports: Sequence[int]) -> AsyncIterator[Connections]:
    connections = Connections(ports)
    try:
        yield connections
    finally:
        connections.close()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split()[1]), headers, body)


def rendered(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """A whole POST."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


class Couriers:
    """Sends what devices make. `places` are the request ids of all 2xx. `doubtful` counts requests that were sent as a
    whole and got no 2xx: they may have arrived."""

    def __init__(self, connections: Connections, seed: object) -> None:
        self._connections = connections
        self._rng = random.Random(f"{seed}/couriers")
        self.deadline = float("inf")
        self.places: list[str] = []
        self.doubtful = 0
        self.statuses: Counter[int] = Counter()
        self.findings: list[str] = []
        self.twice = self.cut = 0

    async def visit(self, device: Device, requests: int) -> None:
        """Make and send so many requests of a device, each when the one before it was accepted."""
        late: list[Delivery] = []
        for _ in range(requests):
            delivery = device.request()
            chance = self._rng.random()
            if chance < CUT:
                await self._cut(delivery)
            at_once = CUT <= chance < CUT + TWICE / 2
            accepted = await (self._both(delivery) if at_once else self._until_accepted(delivery))
            if not accepted:
                return
            delivery.book()
            for again in late:
                await self._until_accepted(again)
            late = []
            if CUT + TWICE / 2 <= chance < CUT + TWICE:
                self.twice += 1
                late = list(delivery.parts or (delivery,))
                if self._rng.random() < 0.5:  # at once, and not behind the next one
                    for again in late:
                        await self._until_accepted(again)
                    late = []
        for again in late:
            await self._until_accepted(again)

    async def _cut(self, delivery: Delivery) -> None:
        """In the middle of the body, or before the answer."""
        self.cut += 1
        body = delivery.body()
        data = rendered(delivery.path, delivery.headers, body)
        whole = self._rng.random() < 0.5
        self.doubtful += whole
        await self._connections.cut(data, len(data) - (0 if whole else self._rng.randint(1, len(body) - 1)))

    async def _both(self, delivery: Delivery) -> bool:
        """By two connections at the same moment."""
        self.twice += 1
        first, second = await asyncio.gather(self._once(delivery), self._once(delivery))
        return first or second or await self._until_accepted(delivery)

    async def _until_accepted(self, delivery: Delivery) -> bool:
        """False where it was refused, or nobody took it in time: both are findings."""
        wait, most = WAIT
        while not await self._once(delivery):
            if self.findings:
                return False
            if time.monotonic() > self.deadline:
                self.findings.append(f"visitors: no 2xx for {PATIENCE_SECONDS:g} s, seen {dict(self.statuses)}")
                return False
            await asyncio.sleep(self._rng.uniform(wait / 2, wait))
            wait = min(2 * wait, most)
        return True

    async def _once(self, delivery: Delivery) -> bool:
        answer = await self._connections.ask(rendered(delivery.path, delivery.headers, delivery.body()))
        self.statuses[answer.status] += 1
        if 200 <= answer.status < 300:
            self.places.append(answer.request_id)
            return True
        self.doubtful += 1
        if answer.status in (429, 503) and not str(answer.headers.get("retry-after", "")).isdigit():
            self.findings.append(f"visitors: {answer.status} without Retry-After")
        elif answer.status not in (0, 429, 503):
            self.findings.append(f"visitors: {answer.status} {answer.body.decode(errors='replace')[:200]}")
        return False


async def visits(couriers: Couriers, devices: Sequence[Device], requests: Callable[[Device], int]) -> None:
    """All devices at once."""
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(couriers.visit(device, requests(device)))
