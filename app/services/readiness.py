"""Whether the process can serve, for probes: anybody may ask at any rate, so the database is asked seldom."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

#: An answer is good for this long.
KEEP_SECONDS: Final = 1.0


class Readiness:
    """One look at a time, for all who ask meanwhile and for a second after; one per API process."""

    def __init__(self, look: Callable[[], Awaitable[str | None]], clock: Callable[[], float] = time.monotonic) -> None:
        """`look` tells what is wrong in words for an operator, None when nothing is, and must not raise."""
        self._look = look
        self._clock = clock
        self._looking: asyncio.Future[str | None] | None = None
        self._until = 0.0

    async def problem(self) -> str | None:
        """What is wrong, None when nothing is."""
        if self._looking is None or (self._looking.done() and self._clock() >= self._until):
            self._looking = asyncio.ensure_future(self._look())
            self._looking.add_done_callback(self._keep)
        return await asyncio.shield(self._looking)

    def _keep(self, _looking: "asyncio.Future[str | None]") -> None:
        self._until = self._clock() + KEEP_SECONDS
