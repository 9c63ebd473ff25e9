"""Raw HTTP for attackers: whatever bytes a hostile client would send, from any loopback address."""

import gzip
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from fault.clients import HOST

CONNECT_SECONDS: Final = 5.0
#: Longer than any answer should take; an attacker that gets none goes on.
ANSWER_SECONDS: Final = 30.0


def connect(port: int, address: str = HOST, window: int = 0) -> socket.socket:
    """A connection from a loopback address; `window`: bytes that it takes unread, 0 = as usual. Raises OSError."""
    made = socket.socket()
    if window:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    made.settimeout(CONNECT_SECONDS)
    try:
        made.bind((address, 0))
        made.connect((HOST, port))
    except OSError:
        made.close()
        raise
    made.settimeout(ANSWER_SECONDS)
    return made


def head(method: str, path: str, key: str = "", more: Mapping[str, str] | None = None) -> bytes:
    """A request line and its headers, without the empty line behind them."""
    headers = {"Host": "onefold", "Content-Type": "application/json", **(more or {})}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), ""]
    return "\r\n".join(lines).encode()


def request(method: str, path: str, key: str = "", body: bytes = b"", more: Mapping[str, str] | None = None) -> bytes:
    """A whole request, its body framed by length."""
    return head(method, path, key, {**(more or {}), "Content-Length": str(len(body))}) + b"\r\n" + body


def packed(path: str, key: str, document: object, more: Mapping[str, str] | None = None) -> bytes:
    """A whole POST with a gzip body: `document` as JSON, or bytes as they are."""
    raw = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    return request("POST", path, key, gzip.compress(raw, 6), {**(more or {}), "Content-Encoding": "gzip"})


class Client:
    """One connection of an attacker; it is opened again when it was closed."""

    def __init__(self, port: int, address: str = HOST) -> None:
        self._port = port
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and read its answer: (status, headers in lower case, body); status 0 without an answer."""
        try:
            if self._socket is None:
                self._socket = connect(self._port, self._address)
            self._socket.sendall(data)
            status, headers, body = _answer(self._socket)
        except (OSError, ValueError):
            self.close()
            return 0, {}, b""
        if headers.get("connection", "").lower() == "close":
            self.close()
        return status, headers, body

    def document(self, data: bytes) -> Any:
        """As `ask`: the answer's JSON, None unless it is a 2xx."""
        status, _, body = self.ask(data)
        return json.loads(body) if 200 <= status < 300 else None

    def close(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
            self._socket = None


def _answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    with connection.makefile("rb") as stream:
        status = int(_line(stream.readline()).split()[1])
        headers: dict[str, str] = {}
        while line := _line(stream.readline()):
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return status, headers, stream.read(int(headers.get("content-length", "0")))
        body = b""
        while size := int(_line(stream.readline()), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
        return status, headers, body


def _line(line: bytes) -> str:
    if not line:
        raise ValueError("the connection ended")
    return line.decode("latin-1").rstrip("\r\n")
