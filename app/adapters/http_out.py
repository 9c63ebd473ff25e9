"""Calls to addresses that a tenant named, such as callbacks: everything that calls out goes through here.

A tenant must not reach what only this machine can reach. So a host name is looked up once, every address of the answer
is judged, and the connection goes to an address that was judged: a second answer of the name server cannot lead
elsewhere. The name stays in the Host header and in TLS, where the certificate has to be valid for it. Redirects are not
followed, and the environment's proxies are not asked.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

import httpcore

MAX_URL: Final = 2_048
CONNECT_SECONDS: Final = 5.0
#: From the look-up of the name to the last byte of the answer.
TOTAL_SECONDS: Final = 15.0
MAX_ANSWER_BYTES: Final = 64 * 1024

#: Networks of IPv6 whose addresses lead to an address of IPv4: (network, bits behind the IPv4 address).
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped
    (IPv6Network("::ffff:0:0:0/96"), 0),  # translated, RFC 2765
    (IPv6Network("::/96"), 0),  # compatible
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (IPv6Network("2002::/16"), 80),  # 6to4
)

#: What Python's registry takes for global, or did in some version, and is of no use to a callback.
_REFUSED_4: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_GLOBAL_6: Final = IPv6Network("2000::/3")  # all that was ever given out
_REFUSED_6: Final = (IPv6Network("3fff::/20"),)  # documentation, which older versions of Python do not know

Resolve = Callable[[str, int], list[str]]
"""Addresses of a host name. Raises OSError."""


class CallError(Exception):
    """A call had no success. `reason` is one of the names below and holds nothing of the URL or of the answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


BAD_URL: Final = "bad_url"
REFUSED_ADDRESS: Final = "refused_address"
UNKNOWN_HOST: Final = "unknown_host"
NOT_CONNECTED: Final = "not_connected"
TLS_FAILED: Final = "tls_failed"
TIMED_OUT: Final = "timed_out"
BROKEN_OFF: Final = "broken_off"
ANSWER_TOO_LARGE: Final = "answer_too_large"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a call may take, and how much may come back."""

    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    answer_bytes: int = MAX_ANSWER_BYTES


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public Internet, also the IPv4 address that an IPv6 address leads to."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return _is_public(parsed)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        for network, shift in _EMBEDDING:
            if address in network:
                return _is_public(IPv4Address(int(address) >> shift & 0xFFFFFFFF))
        if address.teredo is not None:  # it leads to wherever its server and its client are
            return False
        if address not in _GLOBAL_6 or any(address in network for network in _REFUSED_6):
            return False
    elif any(address in network for network in _REFUSED_4):
        return False
    # `is_global` is the IANA registry's word; multicast has global scopes too, and is nobody's callback.
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def problem_of(url: str, *, allow_private: bool = False) -> str | None:
    """Why a URL can never be called, as far as it can be told without asking a name server; else None."""
    try:
        _, host, _ = _parsed(url)
        if not allow_private and _is_literal(host) and not is_public(host):
            return REFUSED_ADDRESS
    except CallError as error:
        return error.reason
    return None


class HttpOut:
    """Makes calls. Keeps nothing between two of them."""

    def __init__(self, *, allow_private: bool = False, resolve: Resolve | None = None, bounds: Bounds | None = None):
        """`allow_private` lets calls go to any address, which only an operator can want."""
        self._allow_private = allow_private
        self._resolve = resolve or _resolved
        self._bounds = bounds or Bounds()

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """POST a body, JSON unless `headers` say otherwise. Any status is an answer. Raises CallError."""
        wanted = {"Content-Type": "application/json", "User-Agent": "Onefold", **(headers or {})}
        return self.call("POST", url, body, wanted)

    def call(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request on a connection of its own. Raises CallError."""
        secure, host, target = _parsed(url)
        ends = time.monotonic() + self._bounds.total_seconds
        backend = _Backend(self._addresses, self._bounds.connect_seconds, ends)
        named = [("Host", _bracketed(host) + ("" if target.port is None else f":{target.port}")), *headers.items()]
        request_url = httpcore.URL(
            scheme=b"https" if secure else b"http",
            host=host.encode(),
            port=target.port,
            target=(target.path_and_query or "/").encode(),
        )
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=_context(), network_backend=backend, retries=0, http2=False
                ) as pool,
                pool.stream(method, request_url, headers=named, content=body) as response,
            ):
                return Answer(
                    response.status,
                    {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers},
                    self._read(response.iter_stream()),
                )
        except httpcore.TimeoutException:
            raise CallError(TIMED_OUT) from None
        except httpcore.ConnectError as error:
            failed = TLS_FAILED if isinstance(error.__cause__ or error.__context__, ssl.SSLError) else NOT_CONNECTED
            raise CallError(failed) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError):
            raise CallError(BROKEN_OFF) from None

    def _read(self, chunks: Iterable[bytes]) -> bytes:
        read = bytearray()
        for chunk in chunks:
            read += chunk
            if len(read) > self._bounds.answer_bytes:
                raise CallError(ANSWER_TOO_LARGE)
        return bytes(read)

    def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host, all of them judged: one that is refused refuses the name. Raises CallError."""
        try:
            found = self._resolve(host, port)
        except (OSError, UnicodeError):
            raise CallError(UNKNOWN_HOST) from None
        if not found:
            raise CallError(UNKNOWN_HOST)
        if not self._allow_private and not all(map(is_public, found)):
            raise CallError(REFUSED_ADDRESS)
        return found


@cache
def _context() -> ssl.SSLContext:
    """Made once: reading the certificates of all authorities takes some 20 ms."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class _Target:
    port: int | None
    path_and_query: str


def _parsed(url: str) -> tuple[bool, str, _Target]:
    """(whether TLS, host, rest). Raises CallError(BAD_URL) for what is no plain http or https URL."""
    try:
        if len(url) > MAX_URL or not url.isascii() or any(character <= " " or character == "\\" for character in url):
            raise CallError(BAD_URL)
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise CallError(BAD_URL) from None
    if parts.scheme not in ("http", "https") or not host or port == 0:
        raise CallError(BAD_URL)
    if parts.username is not None or parts.password is not None or "%" in host:
        raise CallError(BAD_URL)
    return parts.scheme == "https", host, _Target(port, parts.path + (f"?{parts.query}" if parts.query else ""))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _resolved(host: str, port: int) -> list[str]:
    """As the system resolves it: 127.1, 0x7f.1 and 2130706433 are addresses to it as well."""
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


class _Backend(httpcore.SyncBackend):
    """Connects to addresses that were judged, and to no name."""

    def __init__(self, addresses: Callable[[str, int], list[str]], connect_seconds: float, ends: float) -> None:
        self._addresses = addresses
        self._connect_seconds = connect_seconds
        self._ends = ends

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - ours are tighter
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception | None = None
        for address in self._addresses(host, port):
            left = min(self._connect_seconds, _left(self._ends))
            try:
                stream = super().connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return _Timed(stream, self._ends)
        raise failure or httpcore.ConnectError

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise NotImplementedError


class _Timed(httpcore.NetworkStream):
    """A stream all of whose calls together end in time."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, _left(self._ends))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, _left(self._ends))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, _left(self._ends)), self._ends)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def _left(ends: float) -> float:
    """Seconds that are left, a little at least: 0 would mean not to wait at all, and raise something else."""
    left = ends - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
