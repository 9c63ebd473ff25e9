"""What uvicorn gives each connection to: `uvicorn --http app.api.protocol:Protocol`.

The application's lifespan state has to have the process's `connections`.
"""

import asyncio
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from app.api.http1 import Http1


class Protocol(asyncio.BufferedProtocol):
    """Reads into a buffer that all connections share, and leaves the rest to `Http1`.

    Without it the event loop reads up to 256 KB at once, and a client that sends requests ahead of their turn and takes
    no answers could have all of that kept, on each of its connections.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.http = Http1(config, server_state, app_state, _loop)
        self._buffer = memoryview(app_state["connections"].buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.http.connection_made(cast("asyncio.Transport", transport))

    def connection_lost(self, exc: Exception | None) -> None:
        self.http.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        del sizehint  # the loop's own idea is 256 KB
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.http.received(self._buffer[:nbytes])

    def eof_received(self) -> None:
        self.http.eof_received()

    def pause_writing(self) -> None:
        self.http.pause_writing()

    def resume_writing(self) -> None:
        self.http.resume_writing()
