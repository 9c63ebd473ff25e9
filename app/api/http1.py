"""HTTP/1.1 on one connection: uvicorn's protocol over httptools (llhttp), with bounds on all that a stranger may send.

llhttp finds where messages begin and end. This module adds what neither it nor uvicorn does:

- Heads, trailers and chunk sizes are bounded in bytes, heads in headers, and pipelined requests in number. So data is
  parsed in small pieces, and no further while a request waits for its turn.
- Trailers are read and left out: whoever wrote one may be somebody whom the proxy in front never asked.
- Nothing is ever upgraded (RFC 9110 7.8). A request that asks for it is read once more without its Upgrade header.
- Requests whose framing or Host two parties could read differently are refused (RFC 9112 3.2, 6.1).
- A head has to arrive in time, an answer has to be taken in time, and a connection without a request makes room.
- A refusal is JSON, comes after the answers of earlier requests, and is not logged: strangers do not write our log.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.api.bodies import WHOLE
from app.services.connections import Connections

#: Bytes of a request line with its headers; and of trailers, or of anything else that is not body, in one run.
MAX_HEAD_BYTES: Final = 32 * 1024
MAX_HEADERS: Final = 100
#: Bytes of small answers that may wait for their client before the next request of its connection is answered.
UNTAKEN_BYTES: Final = 16 * 1024
#: Bytes that the parser gets at once where a message may end at any of them. Bounds what is read beyond a limit, and
#: how many requests can be begun before the first of them is answered.
PIECE_BYTES: Final = 1024
#: A client that takes less of an answer than this, each time that we look, is not waited for.
MIN_TAKEN_BYTES: Final = 64 * 1024
#: How long a refused client may go on sending, so that it can read why. To close at once would take that from it.
LINGER_SECONDS: Final = 1.0

#: Host, without its inside being looked at: a name, an address, or an address in brackets; and a port.
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.v%A-Za-z]+\])(?::[0-9]*)?")

_BAD: Final = (b"400 Bad Request", b'{"message":"Bad Request"}')
_LATE: Final = (b"408 Request Timeout", b'{"message":"Request Timeout"}')
_TOO_LARGE: Final = (b"431 Request Header Fields Too Large", b'{"message":"Request Header Fields Too Large"}')
_FULL: Final = (b"503 Service Unavailable\r\nretry-after: 1", b'{"message":"Too many connections"}')


class _RefusedError(Exception):
    """What llhttp takes and we do not."""


class _Flow(FlowControl):
    """Reads nothing while something that was read is not parsed, whoever asks for more."""

    held = False

    def hold_reading(self) -> None:
        self.held = True
        self.pause_reading()

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class Http1(HttpToolsProtocol):
    """One connection. Every answer is JSON with a request id, also where no application is called (clients.md 2)."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._connections: Connections = app_state["connections"]
        self._limits = self._connections.limits
        #: Requests begun whose answer is not complete.
        self._in_hand = 0
        #: Between the first byte of a head and its end; between that and the end of the message.
        self._in_head = False
        self._in_body = False
        #: Bytes of the unfinished head; inside a message, bytes in a row that are not body. Up to a piece too many.
        self._overhead = 0
        #: Bytes of the body that are still to come, where Content-Length says it.
        self._body_left = 0
        self._body_seen = False
        #: Received, and not yet parsed because a request waits for its turn.
        self._unparsed = b""
        #: The answer to what is no request. Nothing is parsed after it.
        self._refusal: tuple[bytes, bytes] | None = None
        self._refused_with = _BAD
        self._deadline: asyncio.TimerHandle | None = None
        self._unsent: asyncio.TimerHandle | None = None

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        transport.set_write_buffer_limits(high=UNTAKEN_BYTES)
        if self._connections.enter(self, self.client[0] if self.client else None):
            self._set_deadline(self._limits.head_seconds, self._head_is_late)
        else:
            self._refuse(_FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self)
        self._set_deadline(0, None)
        if self._unsent is not None:
            self._unsent.cancel()
        super().connection_lost(exc)

    def make_room(self) -> None:
        """Close it; nothing of it is in hand, but an answer may not have been taken to its end."""
        self.transport.abort() if self.transport.get_write_buffer_size() else self.transport.close()

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_sending()

    def _set_deadline(self, seconds: float, action: Callable[[], None] | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if action is None else self.loop.call_later(seconds, action)

    def _head_is_late(self) -> None:
        self._connections.late += 1
        if self._in_head:
            self._refuse(_LATE)
        else:
            self.make_room()

    def _body_is_late(self) -> None:
        """The request was answered, and its body goes on and on."""
        self._connections.late += 1
        self.transport.abort()

    # Answers that are not taken

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        if self._unsent is not None:
            self._unsent.cancel()
            self._unsent = None
        super().resume_writing()
        if self._waits_for_head():
            self._connections.waits(self)

    def _watch_sending(self) -> None:
        size = self.transport.get_write_buffer_size()
        if self._unsent is None and size:
            self._unsent = self.loop.call_later(self._limits.send_seconds, self._look_at_sending, size)

    def _look_at_sending(self, before: int) -> None:
        self._unsent = None
        now = self.transport.get_write_buffer_size()
        if now and before - now < MIN_TAKEN_BYTES:
            self._connections.late += 1
            self.transport.abort()
        else:
            self._watch_sending()

    # What arrives

    def received(self, data: memoryview) -> None:
        """The next bytes; what is in `data` is overwritten afterwards."""
        self._unset_keepalive_if_required()
        if self._refusal is not None:
            return
        self._parse(data)

    def _parse(self, view: memoryview) -> None:
        """Parse until the end, or until a request waits for its turn: the rest is kept until it has it."""
        start = 0
        while start < len(view) and self._refusal is None and not self.transport.is_closing():
            if self.pipeline:
                self._unparsed = bytes(view[start:])
                self._flow.hold_reading()
                return
            piece = view[start : start + max(PIECE_BYTES, self._body_left)]
            self._body_seen = False
            try:
                start += self._parse_piece(piece)
            except httptools.HttpParserError:
                self._refuse(self._refused_with)
                return
            self._count_overhead(len(piece))
        if self._waits_for_head() and self._deadline is None and self.timeout_keep_alive_task is None:
            self._set_deadline(self._limits.head_seconds, self._head_is_late)

    def _waits_for_head(self) -> bool:
        return not self._in_hand and not self._in_body and self._refusal is None

    def _parse_piece(self, piece: memoryview) -> int:
        """How many bytes of it were parsed: not all of them where a head with an Upgrade ends in it."""
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            parsed: int = upgrade.args[0]
            self._read_again_without_upgrade()
            return parsed
        return len(piece)

    def _read_again_without_upgrade(self) -> None:
        """llhttp stops behind such a head, whatever its body: give a new parser the same head without the header."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        headers = b"".join(b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade")
        head = b"%s %s HTTP/%s\r\n%s\r\n" % (method, self.url, version, headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(head)

    def _count_overhead(self, size: int) -> None:
        if self._body_seen and self._in_body:
            self._overhead = 0
            return
        self._overhead += size
        if self._overhead > MAX_HEAD_BYTES:
            self._refuse(_TOO_LARGE)

    # What the parser finds

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._overhead, self._body_left = True, 0, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer
        name, value = name.lower(), value.strip(b" \t")  # llhttp leaves what stands behind it (RFC 9110 5.5)
        if name == b"expect":
            super().on_header(name, value)
        else:
            self.headers.append((name, value))
        if len(self.headers) > MAX_HEADERS:
            self._refused_with = _TOO_LARGE
            raise _RefusedError

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _RefusedError  # what follows would not be HTTP
            return  # it is read again
        self._look_at_head()
        super().on_headers_complete()
        self._in_head, self._in_body, self._overhead = False, True, 0
        self._in_hand += 1
        self._set_deadline(0, None)
        self._connections.works(self)

    def _look_at_head(self) -> None:
        """Raises _RefusedError where others may see another host, or another end of the body, than we do."""
        hosts: list[bytes] = []
        coding, length = b"", b"0"
        for name, value in self.headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"transfer-encoding":
                coding = coding + b"," + value.lower() if coding else value.lower()
            elif name == b"content-length":
                length = value
        version = self.parser.get_http_version()
        if version == "1.1":
            if len(hosts) != 1 or coding not in (b"", b"chunked"):
                raise _RefusedError
        elif version != "1.0" or len(hosts) > 1 or coding:
            raise _RefusedError
        if hosts and not _HOST.fullmatch(hosts[0]):
            raise _RefusedError
        self._body_left = int(length)

    def on_body(self, body: bytes) -> None:
        self._body_seen = True
        self._body_left = max(0, self._body_left - len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._in_body:
            return  # it is read again
        self._in_body, self._overhead, self._body_left = False, 0, 0
        self.scope[WHOLE] = True  # type: ignore[typeddict-unknown-key] # as the specification of ASGI allows
        super().on_message_complete()
        if not self._in_hand:  # answered before all of it was here
            self._rest()

    # What was answered

    def on_response_complete(self) -> None:
        self._in_hand -= 1
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_sending()
        elif self._in_hand == 0 and self._refusal is not None:
            self._say_refusal()
        elif self._in_hand == 0 and self._in_body:
            self._set_deadline(self._limits.head_seconds, self._body_is_late)
        elif self._in_hand == 0:
            self._rest()
        if self._unparsed and not self.pipeline:
            data, self._unparsed, self._flow.held = self._unparsed, b"", False
            self._parse(memoryview(data))
            self._flow.resume_reading()

    def _rest(self) -> None:
        """Wait for the next request, or for the rest of its head."""
        if not self.flow.write_paused:  # else the answer is not taken yet, which `_watch_sending` sees to
            self._connections.waits(self)
        if self._in_head:
            self._unset_keepalive_if_required()
            self._set_deadline(self._limits.head_seconds, self._head_is_late)
            return
        self._set_deadline(0, None)
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    # What is refused

    def _refuse(self, answer: tuple[bytes, bytes]) -> None:
        """Parse nothing more. The refusal is sent when earlier requests are answered, and then all is over."""
        self._refusal = answer
        self._unparsed, self._flow.held = b"", False
        self._set_deadline(0, None)
        if self._in_body:
            self._give_up_request()
        if not self._in_hand and not self.transport.is_closing():
            self._say_refusal()

    def _give_up_request(self) -> None:
        """The last request turned out to be none while its body came."""
        if not self._in_hand:  # it has its answer
            self.make_room()
            return
        self._in_hand -= 1
        if self.pipeline:  # not begun
            self.pipeline.popleft()
            return
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self.cycle.response_started:
            self.transport.abort()

    def _say_refusal(self) -> None:
        if self._refusal is None:
            return
        self._unset_keepalive_if_required()
        self._connections.waits(self)
        status, body = self._refusal
        head = (
            b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\n"
            b"connection: close\r\n\r\n"
        )
        self.transport.write(head % (status, len(body), str(uuid4()).encode()) + body)
        if self._refusal is _FULL:
            self.transport.close()
            return
        self.flow.resume_reading()
        self.transport.write_eof()
        self._set_deadline(LINGER_SECONDS, self.transport.abort)
