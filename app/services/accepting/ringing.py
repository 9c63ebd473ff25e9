"""Ringing for what was accepted, from the event loop: nearly every ring finds that one is outstanding already.

Only the ring that does not is sent, by the thread of app.adapters.doorbell. All others would be woken for nothing, and
the thread would take the interpreter from the loop while it asks: so the loop asks for the bell keys itself, over a
connection of its own. Rings that come while it asks wait for the next question.

Any ring may be lost. While this connection is away, the thread asks.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final

from app.adapters.doorbell import OUTSTANDING_MS, TIMEOUT_SECONDS, Doorbell
from app.domain.commands import StreamKey
from app.quota.connection import close, connect
from app.quota.wire import ERRORS, Wire

#: How long nobody tries to connect when that has failed, or when the connection was lost.
PAUSE_SECONDS: Final = 0.5


class Ringing:
    """Rings for streams of accepted requests; one per API process and event loop."""

    def __init__(self, bell: Doorbell, redis_url: str) -> None:
        self._bell = bell
        self._redis = connect(redis_url)
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._closed = False
        self._waiting: dict[StreamKey, None] = {}
        #: What is being asked for, and until when an answer is waited for.
        self._asked: list[StreamKey] = []
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, stream: StreamKey) -> None:
        """Tell the workers that a stream has work. Returns at once and never raises. Call inside the event loop."""
        self._waiting[stream] = None
        if not self._asked:
            self._ask()

    async def aclose(self) -> None:
        """Leave to the thread what is not answered yet, and close the connection."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._hang_up()
        await asyncio.sleep(0)  # whoever waits for a reply hears that there is none
        await close(self._redis)

    def _ask(self) -> None:
        waiting, self._waiting = list(self._waiting), {}
        if self._wire is None or not self._wire.usable:
            for stream in waiting:
                self._bell.ring(stream)
            self._connect()
            return
        self._asked = waiting
        commands = [("SET", self._bell.key(stream), "1", "NX", "PX", OUTSTANDING_MS) for stream in waiting]
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT_SECONDS, self._wire.close)
        self._wire.send(commands).add_done_callback(self._answered)

    def _answered(self, replies: asyncio.Future[list[object]]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        asked, self._asked = self._asked, []
        lost = replies.exception() is not None
        for stream, reply in zip(asked, [None] * len(asked) if lost else replies.result(), strict=True):
            if reply == b"OK":
                self._bell.ring_first(stream)
            elif reply is None and not lost:
                self._bell.suppressed += 1
            else:
                self._bell.ring(stream)
                self._hang_up()  # whoever refuses may be no primary any more
        if self._waiting:
            self._ask()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def _connect(self) -> None:
        if self._connecting is None and not self._closed and time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + PAUSE_SECONDS
            self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            with suppress(*ERRORS):
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    self._wire = await Wire.open(self._redis)
        finally:
            self._connecting = None
