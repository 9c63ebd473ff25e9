"""Bytes on a real connection to uvicorn: what a client library would never send, and what only a network can do."""

import gzip
import json
import random
import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api.harness import Answer, Service, Workspace, checked, running, served, settings_for
from tests.api.http_server import Counting
from tests.polling import until
from tests.servers import ValkeyServer

BODY: Final = b'{"attributes":[{"external_id":"s","n":{"inc":1}}]}'
RECEIVE_SECONDS: Final = 0.5


@pytest.fixture(scope="module")
def behind_uvicorn(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, int]]:
    folder: Path = tmp_path_factory.mktemp("sockets")
    settings = settings_for("", valkey_server.url, folder, receive_timeout_seconds=RECEIVE_SECONDS)
    with running(settings) as service, served(settings, http="tests.api.http_server:Counting") as port:
        yield service, port


class Wire:
    """One connection."""

    def __init__(self, workspace: Workspace, port: int, randomly: random.Random | None = None) -> None:
        """`randomly` cuts in two what is sent, the first three times: a body has to arrive in time."""
        self.workspace = workspace
        self._randomly = randomly
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sent = self._sends = 0
        self._buffer = b""

    def head(self, *lines: str, length: int | None = len(BODY)) -> bytes:
        fixed = [
            "POST /users/track HTTP/1.1",
            "Host: onefold",
            f"Authorization: Bearer {self.workspace.key}",
            "Content-Type: application/json",
        ]
        if length is not None:
            fixed.append(f"Content-Length: {length}")
        return "\r\n".join([*fixed, *lines, "", ""]).encode()

    def send(self, data: bytes) -> None:
        self._sends += 1
        if self._randomly is not None and len(data) > 1 and self._sends <= 3:
            first = self._randomly.randrange(1, len(data))
            self._socket.sendall(data[:first])
            self._sent += first
            until(self._is_read, interval=0.001)
            data = data[first:]
        self._socket.sendall(data)
        self._sent += len(data)

    def _is_read(self) -> bool:
        """Whether the server has read what was sent, or reads nothing for now."""
        port = self._socket.getsockname()[1]
        known = Counting.by_port.get(port)
        return (known is None and self.is_readable(0)) or (
            known is not None and (known.received >= self._sent or known.stalls())
        )

    def half_close(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def is_readable(self, seconds: float) -> bool:
        return bool(select.select([self._socket], [], [], seconds)[0])

    def raw(self) -> tuple[int, httpx.Headers, bytes]:
        """One answer, read by its Content-Length."""
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in lines)])
        found = re.fullmatch(r"HTTP/1\.1 (\d{3})( .*)?", first)
        assert found is not None, first
        size = int(headers["content-length"])
        while len(self._buffer) < size:
            self._more()
        content, self._buffer = self._buffer[:size], self._buffer[size:]
        return int(found[1]), headers, content

    def answer(self) -> Answer:
        return checked(*self.raw(), self.workspace.key)

    def is_closed(self) -> bool:
        """Whether the server says nothing more and closes."""
        try:
            return self._buffer == b"" and self._socket.recv(65536) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        chunk = self._socket.recv(65536)
        if not chunk:
            raise EOFError(self._buffer)
        self._buffer += chunk


@pytest.fixture
def workspace(behind_uvicorn: tuple[Service, int]) -> Workspace:
    return behind_uvicorn[0].workspace()


@pytest.fixture(params=["whole", "cut in two"])
def wire(behind_uvicorn: tuple[Service, int], workspace: Workspace, request: pytest.FixtureRequest) -> Iterator[Wire]:
    """Everything that a test sends goes out in one packet, or in two."""
    seed = time.time_ns()
    print(f"seed {seed}")
    made = Wire(workspace, behind_uvicorn[1], None if request.param == "whole" else random.Random(seed))
    yield made
    made.close()


def count(workspace: Workspace) -> int:
    """How many bodies had an effect."""
    workspace.drain()
    users = workspace.stored()
    return users[0]["custom_attributes"]["n"] if users else 0


def test_whole(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head() + BODY)
    assert wire.answer().counts == {"attributes": 1}
    assert count(workspace) == 1


def test_3_length_too_small(wire: Wire, workspace: Workspace) -> None:
    """The body is cut where it says; the rest is read as another request and is none, which ends the connection."""
    wire.send(wire.head(length=len(BODY) - 2) + BODY)
    assert [wire.answer().status, wire.raw()[0]] == [400, 400]
    assert wire.is_closed()
    assert count(workspace) == 0


def test_3_length_too_large(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head(length=len(BODY) + 1) + BODY)
    answer = wire.answer()
    assert (answer.status, answer.message) == (408, "Request Timeout")
    assert answer.headers["connection"] == "close"
    assert wire.is_closed()
    assert count(workspace) == 0


def test_3_client_gone_in_mid_body(wire: Wire, workspace: Workspace, behind_uvicorn: tuple[Service, int]) -> None:
    wire.send(wire.head(length=len(BODY) + 1) + BODY)
    wire.close()
    other = Wire(workspace, behind_uvicorn[1])
    other.send(other.head() + BODY)
    assert other.answer().status == 201
    other.close()
    assert count(workspace) == 1


@pytest.mark.parametrize("value", ["-1", "0x10", "1e1", "5, 6", "\u0665", "9" * 30])
def test_3_length_that_is_none(wire: Wire, workspace: Workspace, value: str) -> None:
    wire.send(wire.head(f"Content-Length: {value}", length=None) + BODY)
    status, headers, content = wire.raw()
    assert status in (400, 413)
    if headers["content-type"] == "application/json":
        checked(status, headers, content, workspace.key)
    assert count(workspace) == 0


def test_3_two_lengths(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head(f"Content-Length: {len(BODY) - 1}") + BODY)
    assert wire.raw()[0] == 400
    assert wire.is_closed()
    assert count(workspace) == 0


#: Further items of the list, by number: lines of the head, framing and body, and the status.
ITEMS: Final = {
    "1 no body": ((), b"", 400),
    "2 empty body": (("Content-Length: 0",), b"", 400),
    "7 gzip bomb": (("Content-Encoding: gzip",), gzip.compress(b" " * 5_000_000), 413),
    "8 truncated gzip": (("Content-Encoding: gzip",), gzip.compress(BODY)[:-9], 400),
    "gzip": (("Content-Encoding: gzip",), gzip.compress(BODY), 201),
    "9 unknown encoding": (("Content-Encoding: br",), BODY, 415),
    "14 two keys": (("Authorization: Bearer x",), BODY, 401),
}
UPGRADE: Final = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA")


@pytest.mark.parametrize("upgrade", [(), UPGRADE], ids=["", "upgrade"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("name", ITEMS)
def test_items(wire: Wire, workspace: Workspace, name: str, framing: str, upgrade: tuple[str, ...]) -> None:
    lines, body, status = ITEMS[name]
    if body:
        lines += (f"Content-Length: {len(body)}",) if framing == "length" else ("Transfer-Encoding: chunked",)
        body = body if framing == "length" else chunk(body) + b"0\r\n\r\n"
    wire.send(wire.head(*lines, *upgrade, length=None) + body)
    answer = wire.answer()
    assert answer.status in ((201, 401) if status == 401 else (status,))
    wire.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.answer().status == 200
    assert count(workspace) == (answer.status == 201)


@pytest.mark.parametrize("line", ["Content-Type: text/plain", "Content-Type:", "X: y"])
def test_10_content_type(wire: Wire, workspace: Workspace, line: str) -> None:
    wire.send(wire.head(line).replace(b"Content-Type: application/json\r\n", b"") + BODY)
    assert wire.answer().status == 415
    assert count(workspace) == 0


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_11_method(wire: Wire, workspace: Workspace, method: str) -> None:
    wire.send(wire.head().replace(b"POST", method.encode(), 1) + BODY + b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [wire.answer().status, wire.answer().status] == [404, 200]
    assert count(workspace) == 0


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def test_4_chunked(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head("Transfer-Encoding: chunked", length=None))
    for byte in range(len(BODY)):
        wire.send(chunk(BODY[byte : byte + 1], b";x=y" if byte % 2 else b""))
    wire.send(b"0\r\nX-Trailer: 1\r\n\r\n")
    assert wire.answer().status == 201
    assert count(workspace) == 1


def test_4_chunked_without_end(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head("Transfer-Encoding: chunked", length=None) + chunk(BODY))
    assert wire.answer().status == 408
    assert wire.is_closed()
    assert count(workspace) == 0


def test_4_chunk_size_that_is_none(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head("Transfer-Encoding: chunked", length=None) + b"xyz\r\n" + BODY)
    assert wire.raw()[0] == 400
    assert count(workspace) == 0


def test_6_too_large_without_a_length(wire: Wire, workspace: Workspace) -> None:
    """Refused as soon as the limit is passed, not when everything is here."""
    wire.send(wire.head("Transfer-Encoding: chunked", length=None))
    part = chunk(b" " * 65536)
    for _ in range(4 * 1024 * 1024 // 65536 + 1):
        wire.send(part)
    answer = wire.answer()
    assert (answer.status, answer.message) == (413, "Request Entity Too Large")
    assert count(workspace) == 0


def test_5_too_large_by_its_own_word(wire: Wire, workspace: Workspace) -> None:
    """Refused before any of it is sent."""
    wire.send(wire.head(length=4 * 1024 * 1024 + 1))
    assert wire.answer().status == 413
    assert count(workspace) == 0


def test_100_continue(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head("Expect: 100-continue"))
    while b"\r\n\r\n" not in wire._buffer:
        wire._more()
    assert wire._buffer.startswith(b"HTTP/1.1 100 ")
    wire._buffer = b""
    wire.send(BODY)
    assert wire.answer().status == 201
    assert count(workspace) == 1


@pytest.mark.parametrize("size", [1_000, 60_000])
def test_12_large_header(wire: Wire, workspace: Workspace, size: int) -> None:
    wire.send(wire.head("X-Large: " + "a" * size) + BODY)
    status, headers, content = wire.raw()
    assert status in (201, 400, 431)
    if headers["content-type"] == "application/json":
        checked(status, headers, content, workspace.key)
    assert count(workspace) == (status == 201)


def test_13_many_headers(wire: Wire, workspace: Workspace) -> None:
    wire.send(wire.head(*(f"X-{n}: {n}" for n in range(2_000))) + BODY)
    status, _, _ = wire.raw()
    assert status in (201, 400, 431)
    assert count(workspace) == (status == 201)


@pytest.mark.parametrize(
    "line", ["X-Evil: a\rb", "X-Evil: a\x00b", "X-Evil : a", "X Evil: a", " folded", ": nameless", "X-Evil"], ids=ascii
)
def test_15_malformed_header(wire: Wire, workspace: Workspace, line: str) -> None:
    wire.send(wire.head("X-First: 1", line) + BODY)
    status, headers, content = wire.raw()
    assert status in (201, 400)
    if status == 201:
        assert "x-evil" not in checked(status, headers, content, workspace.key).headers
    assert count(workspace) == (status == 201)


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 4", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 4"),
        ("Content-Length: 4", "Transfer-Encoding: xchunked"),
        ("Content-Length: 4", "Transfer-Encoding : chunked"),
        ("Content-Length: 4", "Transfer-Encoding:\tchunked"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: gzip",),
        ("Content-Length: 4", "Content-Length: 50"),
    ],
    ids=str,
)
def test_16_smuggling(wire: Wire, workspace: Workspace, lines: tuple[str, ...]) -> None:
    """Two ideas of where the body ends: never two requests out of one."""
    smuggled = wire.head() + BODY
    wire.send(wire.head(*lines, length=None) + b"0\r\n\r\n" + smuggled)
    wire.half_close()
    statuses = []
    with suppress(EOFError, ConnectionResetError):
        while True:
            statuses.append(wire.raw()[0])
    assert statuses[:1] in ([400], [408], [413], []), statuses
    assert 201 not in statuses
    assert count(workspace) == 0


def test_17_one_byte_at_a_time(wire: Wire, workspace: Workspace) -> None:
    """A trickle ends with 408: the time is for the whole body, not from byte to byte."""
    wire.send(wire.head(length=1_000_000))
    sent = 0
    while not wire.is_readable(RECEIVE_SECONDS / 10):
        wire.send(b" ")
        sent += 1
        assert sent < 100, "nobody stops it"
    assert wire.answer().status == 408
    assert wire.is_closed()
    assert count(workspace) == 0


def test_18_pipelined(wire: Wire, workspace: Workspace) -> None:
    """Answered in order, each with an id of its own."""
    good, bad = wire.head() + BODY, wire.head(length=1) + b"{"
    wire.send(good + bad + good + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + good)
    answers = [wire.answer() for _ in range(5)]
    assert [answer.status for answer in answers] == [201, 400, 201, 200, 201]
    assert len({answer.request_id for answer in answers}) == 5
    assert count(workspace) == 3


def test_19_target_forms(wire: Wire, workspace: Workspace) -> None:
    for target, status in (("/users/%74rack", 201), ("//users/track", 404), ("/users/track/", 404), ("/%00", 404)):
        wire.send(wire.head().replace(b"/users/track", target.encode(), 1) + BODY)
        assert wire.answer().status == status
    assert count(workspace) == 1


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"G" * 100_000, b"\r\n\r\nhello\r\n\r\n"],
    ids=["TLS", "version", "no end", "words"],
)
def test_no_http(wire: Wire, behind_uvicorn: tuple[Service, int], data: bytes) -> None:
    wire.send(data)
    wire.half_close()
    with suppress(EOFError, ConnectionResetError):
        assert wire.raw()[0] == 400
    other = Wire(wire.workspace, behind_uvicorn[1])
    other.send(other.head() + BODY)
    assert other.answer().status == 201
    other.close()


def test_head(wire: Wire) -> None:
    """An answer to HEAD has headers alone, also on a path that knows no HEAD."""
    wire.send(b"HEAD /users/track HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received = b""
    while chunk_ := wire._socket.recv(65536):
        received += chunk_
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    assert b"application/json" in head
    assert rest == b""


def test_many_at_once(workspace: Workspace, behind_uvicorn: tuple[Service, int]) -> None:
    """Sixty-four connections: every one gets an answer of its own, and every accepted request is applied once."""
    wires = [Wire(workspace, behind_uvicorn[1]) for _ in range(64)]
    for each in wires:
        each.send(each.head() + BODY)
    answers = [each.answer() for each in wires]
    assert {answer.status for answer in answers} == {201}
    assert len({answer.request_id for answer in answers}) == 64
    for each in wires:
        each.close()
    assert count(workspace) == 64
    assert json.loads(answers[0].text) == {"attributes_processed": 1, "message": "success"}


COMPARED: Final = (
    "Host: onefold",
    "Authorization: Bearer {key}",
    "Content-Type: application/json",
    "Content-Encoding: identity",
    "Content-Length: {length}",
    "Idempotency-Key: 8e03978e-40d5-43e8-bc93-6894a57f9324",
    "X-Forwarded-For: 192.0.2.1",
)


@pytest.mark.parametrize("blank", [" ", "\t", " \t  "], ids=repr)
@pytest.mark.parametrize("padded", COMPARED, ids=lambda line: line.partition(":")[0])
def test_blanks_around_a_header_value_do_not_count(
    behind_uvicorn: tuple[Service, int], padded: str, blank: str
) -> None:
    service, port = behind_uvicorn
    workspace = service.workspace()
    name, _, value = padded.partition(": ")
    for line in (padded, f"{name}:{blank}{value}{blank}"):
        lines = [line if other == padded else other for other in COMPARED]
        head = "\r\n".join(["POST /users/track HTTP/1.1", *lines, "", ""])
        wire = Wire(workspace, port)
        wire.send(head.format(key=workspace.key, length=len(BODY)).encode() + BODY)
        status, _, _ = wire.raw()
        wire.close()
        assert status == 201
    workspace.drain()
    assert workspace.user("s")["custom_attributes"] == {"n": 1}  # the second one repeats the first
