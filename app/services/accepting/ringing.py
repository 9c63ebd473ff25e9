"""Ringing for what was accepted, from the event loop: nearly every ring finds that one is outstanding already.

Only the ring that does not is sent, by the thread of app.adapters.doorbell. All others would be woken for nothing, and
the thread would take the interpreter from the loop while it asks: so the loop asks for the bell keys itself, over a
connection of its own. Rings that come while it asks wait for the next question.

A question wakes the server, and its answer this process. A client that sends one request after the other would pay for
both each time. So the rings of a stream that was asked for a moment ago are one question at the end of that moment. A
ring that comes behind a pause, as the first of any run does, waits for nothing.

Any ring may be lost. While this connection is away, the thread asks.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from app.adapters.doorbell import OUTSTANDING_MS, TIMEOUT_SECONDS, Doorbell
from app.domain.commands import StreamKey
from app.quota.connection import close, connect
from app.quota.wire import ERRORS, Replies, Wire

#: How long nobody tries to connect when that has failed, or when the connection was lost.
PAUSE_SECONDS: Final = 0.5
#: How long a stream is left alone that was asked for. A ring waits for no longer.
REST_SECONDS: Final = 0.005
#: Streams of which is known when they were asked for, some 200 KB.
MAX_KNOWN: Final = 1_000


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
        #: When a stream was asked for the last time, by the clock of the loop.
        self._asked_at: dict[StreamKey, float] = {}
        self._rest: asyncio.TimerHandle | None = None
        #: What is being asked for, and until when an answer is waited for.
        self._asked: list[StreamKey] = []
        self._timer: asyncio.TimerHandle | None = None

    def ring(self, stream: StreamKey) -> None:
        """Tell the workers that a stream has work. Returns at once and never raises. Call inside the event loop."""
        self._waiting[stream] = None
        if not self._asked:
            self._ask_in_time((stream,))

    async def aclose(self) -> None:
        """Leave to the thread what is not answered yet, and close the connection."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._hang_up()
        await asyncio.sleep(0)  # whoever waits for a reply hears that there is none
        self._ask()
        await close(self._redis)

    def _rested(self) -> None:
        self._rest = None
        if self._waiting and not self._asked:
            self._ask()

    def _ask_in_time(self, streams: Iterable[StreamKey]) -> None:
        """Ask at once where one of them does not rest, else when the first of them has rested."""
        loop = asyncio.get_running_loop()
        due = REST_SECONDS + min(self._asked_at.get(stream, 0.0) for stream in streams)
        if due <= loop.time():
            self._ask()
        elif self._rest is None:
            self._rest = loop.call_at(due, self._rested)

    def _ask(self) -> None:
        """Ask for all that wait, also for what could wait longer: it costs next to nothing beside the others."""
        waiting, self._waiting = list(self._waiting), {}
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._wire is None or not self._wire.usable:
            for stream in waiting:
                self._bell.ring(stream)
            self._connect()
            return
        self._asked = waiting
        self._note(waiting)
        commands = [("SET", self._bell.key(stream), "1", "NX", "PX", OUTSTANDING_MS) for stream in waiting]
        self._timer = asyncio.get_running_loop().call_later(TIMEOUT_SECONDS, self._wire.close)
        self._wire.send(commands, self._answered)

    def _note(self, asked: list[StreamKey]) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._asked_at) >= MAX_KNOWN:
            self._asked_at = {stream: at for stream, at in self._asked_at.items() if now - at < REST_SECONDS}
        self._asked_at.update(dict.fromkeys(asked, now))

    def _answered(self, replies: Replies) -> None:
        if self._timer is not None:
            self._timer.cancel()
        asked, self._asked = self._asked, []
        for stream, reply in zip(asked, replies if isinstance(replies, list) else [replies] * len(asked), strict=True):
            if reply == b"OK":
                self._bell.ring_first(stream)
            elif reply is None:
                self._bell.suppressed += 1
            else:
                self._bell.ring(stream)
                self._hang_up()  # whoever refuses may be no primary any more
        if self._waiting:
            self._ask_in_time(self._waiting)

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
