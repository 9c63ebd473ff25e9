"""The HTTP/1.1 protocol of uvicorn, with answers to unreadable requests in the contract's shape and a bounded head.

`uvicorn --http app.api.protocol:Protocol`.
"""

from typing import Final
from uuid import uuid4

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of request line and headers that may arrive before the headers are complete.
MAX_HEAD_BYTES: Final = 64 * 1024

_BAD: Final = (b"400 Bad Request", b'{"message":"Bad Request"}')
_HEAD_TOO_LARGE: Final = (b"431 Request Header Fields Too Large", b'{"message":"Request Header Fields Too Large"}')


class Protocol(HttpToolsProtocol):
    """Every answer is JSON with a request id, also where no application was ever called (spec clients.md 2)."""

    #: Bytes of an unfinished head so far; None between the end of a head and the next message.
    _head: int | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is None:
            return
        self._head += len(data)
        if self._head > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(_HEAD_TOO_LARGE)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        del msg  # uvicorn's words are not ours
        self._refuse(_BAD)

    def _refuse(self, answer: tuple[bytes, bytes]) -> None:
        status, body = answer
        head = (
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\n"
            b"connection: close\r\n\r\n"
        )
        self.transport.write(head % (status, len(body), str(uuid4()).encode()) + body)
        self.transport.close()
