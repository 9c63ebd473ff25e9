"""Messages on a connection: whatever their framing, position and packets, the application is asked what was sent."""

import gzip
import itertools
import random
import time
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.connections import READ_BYTES
from tests.api.http_server import LAST, Json, run, serving, soon

BODY: Final = b'{"attributes":[{"external_id":"a"}]}'
#: Bodies that would be requests of their own, were they read as such.
SMUGGLED: Final = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"

H2C: Final = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
UPGRADES: Final = {
    "none": b"",
    "curl --http2": b"Connection: Upgrade, HTTP2-Settings\r\n" + H2C,
    "Java": H2C + b"Connection: Upgrade, HTTP2-Settings\r\n",
    "WebSocket": b"Connection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n",
    "unknown": b"CONNECTION: keep-alive,UPGRADE\r\nupgrade: TLS/1.0, foo/2\r\n",
    "two lines": b"Connection: Upgrade\r\nUpgrade: a\r\nConnection: keep-alive\r\nUpgrade: b\r\n",
    "without Connection": b"Upgrade: h2c\r\n",
    "Connection alone": b"Connection: Upgrade\r\n",
    "expecting": b"Expect: 100-continue\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
}


def chunked(data: bytes, size: int, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in parts) + b"0\r\n" + trailers + b"\r\n"


def by_length(body: bytes) -> tuple[bytes, bytes]:
    return b"Content-Length: %d\r\n" % len(body), body


#: Header lines and body, as sent; what the application gets is `body` below.
FRAMINGS: Final = {
    "length": by_length(BODY),
    "length, a request inside": by_length(SMUGGLED * 2),
    "length, gzip": (
        b"Content-Encoding: gzip\r\n" + by_length(gzip.compress(BODY, mtime=0))[0],
        gzip.compress(BODY, mtime=0),
    ),
    "length 0": by_length(b""),
    "chunked": (b"Transfer-Encoding: chunked\r\n", chunked(BODY, 10_000)),
    "chunked, a request inside": (b"transfer-encoding: Chunked\r\n", chunked(SMUGGLED, 10_000)),
    "chunked, small, extensions": (b"Transfer-Encoding: chunked\r\n", chunked(BODY, 3, b';x="y"')),
    "chunked, trailers": (
        b"Trailer: Authorization\r\nTransfer-Encoding: chunked\r\n",
        chunked(
            BODY, 20, trailers=b"Authorization: Bearer x\r\nX-Forwarded-For: 192.0.2.1\r\nHost: b\r\nUpgrade: h2c\r\n"
        ),
    ),
}
DECODED: Final = {
    "length": BODY,
    "length, a request inside": SMUGGLED * 2,
    "length, gzip": gzip.compress(BODY, mtime=0),
    "length 0": b"",
    "chunked": BODY,
    "chunked, a request inside": SMUGGLED,
    "chunked, small, extensions": BODY,
    "chunked, trailers": BODY,
    "no body": b"",
}


def message(number: int, upgrade: str, framing: str) -> tuple[bytes, Json]:
    """A request as it is sent, and what the application has to be asked."""
    lines, body = FRAMINGS.get(framing, (b"", b""))
    method = b"GET" if framing == "no body" else b"POST"
    lines = b"Host: a\r\n" + UPGRADES[upgrade] + b"X-First: 1\r\n" + lines
    head = b"%s /%d HTTP/1.1\r\n%s\r\n" % (method, number, lines)
    headers = [line.split(": ", 1) for line in lines.decode().split("\r\n")[:-1]]
    dropped = upgrade not in ("none", "without Connection", "Connection alone")
    return head + body, {
        "method": method.decode(),
        "path": f"/{number}",
        "headers": sorted([n.lower(), v] for n, v in headers if not (dropped and n.lower() == "upgrade")),
        "body": DECODED[framing].decode("latin-1"),
    }


#: Bytes beside which a parser may change its mind: ends of lines, names, values, sizes of chunks and their extensions.
SEPARATORS: Final = frozenset(b"\r\n:;, ")
#: Conversations about one message; a longer one is not cut everywhere.
MOST_CUTS: Final = 100


def cuts(data: bytes, randomly: random.Random, count: int) -> Iterator[tuple[bytes, ...]]:
    """The data whole, and cut in two: before and after every separator outside of bodies, and at some other places.

    A short message is cut at every byte.
    """
    yield (data,)
    everywhere = set(range(1, len(data)))
    places = {at + n for at, byte in enumerate(data) if byte in SEPARATORS for n in (0, 1)} & everywhere
    places |= set(randomly.sample(sorted(everywhere), min(count, len(everywhere))))
    if len(everywhere) <= MOST_CUTS:
        places = everywhere
    elif len(places) > MOST_CUTS:
        places = set(randomly.sample(sorted(places), MOST_CUTS))
    for at in sorted(places):
        yield data[:at], data[at:]


@pytest.mark.parametrize("framing", DECODED)
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_asked_what_was_sent(upgrade: str, framing: str) -> None:
    """First on its connection, behind an answered request, and behind one in the same packet; whole and cut in two."""
    seed = time.time_ns()
    print(f"seed {seed}")
    data, expected = message(2, upgrade, framing)
    before, also = message(1, "none", "length")

    async def test() -> None:
        async with serving() as server:
            for parts in cuts(data, random.Random(seed), 8):
                found = [answer.body for answer in await server.talk([*parts, LAST])]
                assert found[:-1] == [expected], parts
                assert found[-1]["path"] == "/last"
            for packets in (
                [before, data, LAST],
                [before + data, LAST],
                [before + data + LAST],
                [before, data[:-1], data[-1:] + LAST],
            ):
                found = [answer.body for answer in await server.talk(packets)]
                assert found[:-1] == [also, expected], packets
                assert found[-1]["path"] == "/last"

    run(test)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(UPGRADES)), st.sampled_from(sorted(DECODED))), min_size=1, max_size=6),
    st.lists(st.floats(0, 1), max_size=6),
)
def test_any_sequence_in_any_packets(kinds: list[tuple[str, str]], places: list[float]) -> None:
    made = [message(number, *kind) for number, kind in enumerate(kinds)]
    data = b"".join(sent for sent, _ in made) + LAST
    ends = [0, *sorted(round(place * len(data)) for place in places), len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(ends) if start < end]

    async def test() -> None:
        async with serving() as server:
            found = [answer.body for answer in await server.talk(parts)]
            assert found[:-1] == [expected for _, expected in made]
            assert found[-1]["path"] == "/last"

    run(test)


def test_thousands_pipelined() -> None:
    """All are answered, in order; few of them are begun ahead of their turn, and few bytes are kept for it."""
    made = [message(number, "none", "no body") for number in range(4000)]

    async def test() -> None:
        async with serving() as server:
            found = await server.talk([b"".join(sent for sent, _ in made) + LAST])
            assert [answer.body for answer in found[:-1]] == [expected for _, expected in made]
            assert 0 < server.protocols[-1].most_unparsed <= READ_BYTES
            client = await server.connect()
            await client.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n" + b"".join(sent for sent, _ in made))
            assert len(client.protocol.http.pipeline) < 40
            assert client.protocol.received <= READ_BYTES
            client.close()

    run(test)


def head(*lines: bytes, first: bytes = b"POST /x HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join([first, *([host] if host else []), *lines, b"", b""])


#: More than 32 KB by more than the server may be wrong by.
LARGE: Final = b"a" * 35 * 1024
CHUNKED: Final = b"Transfer-Encoding: chunked"
#: What is no request, or could be two different ones: its bytes, and the status of the refusal.
REFUSED: Final = {
    "two hosts": (head(b"Host: b", b"Content-Length: 0"), 400),
    "two equal hosts": (head(b"Host: a"), 400),
    "no host": (head(host=b""), 400),
    "host with a blank": (head(host=b"Host: a b"), 400),
    "host with a path": (head(host=b"Host: a/b"), 400),
    "host with a user": (head(host=b"Host: u@a"), 400),
    "two hosts, HTTP/1.0": (head(b"Host: b", first=b"GET /x HTTP/1.0"), 400),
    "HTTP/1.0, chunked": (head(CHUNKED, first=b"POST /x HTTP/1.0") + chunked(BODY, 9), 400),
    "HTTP/2.0": (head(first=b"GET /x HTTP/2.0"), 400),
    "HTTP/0.9": (b"GET /x\r\n\r\n", 400),
    "HTTP/2 with prior knowledge": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "CONNECT": (head(first=b"CONNECT a:80 HTTP/1.1") + SMUGGLED, 400),
    "CONNECT, upgrading": (head(b"Connection: Upgrade", b"Upgrade: x", first=b"CONNECT a:80 HTTP/1.1") + SMUGGLED, 400),
    "unknown method": (head(first=b"FOO /x HTTP/1.1"), 400),
    "length and chunked": (head(b"Content-Length: 4", CHUNKED) + chunked(BODY, 9), 400),
    "chunked and length": (head(CHUNKED, b"Content-Length: 4") + chunked(BODY, 9), 400),
    "chunked twice": (head(CHUNKED, CHUNKED) + chunked(BODY, 9), 400),
    "chunked last": (head(b"Transfer-Encoding: gzip, chunked") + chunked(BODY, 9), 400),
    "chunked first": (head(b"Transfer-Encoding: chunked, gzip") + chunked(BODY, 9), 400),
    "chunked with a blank": (head(b"Transfer-Encoding : chunked") + chunked(BODY, 9), 400),
    "other coding": (head(b"Transfer-Encoding: xchunked") + chunked(BODY, 9), 400),
    "lengths that differ": (head(b"Content-Length: 4", b"Content-Length: 5") + BODY, 400),
    "lengths in a list": (head(b"Content-Length: 4, 4") + BODY, 400),
    "length below 0": (head(b"Content-Length: -1"), 400),
    "length with a plus": (head(b"Content-Length: +4") + BODY, 400),
    "length beyond 2^64": (head(b"Content-Length: 18446744073709551617") + BODY, 400),
    "upgrade and two hosts": (head(b"Host: b", b"Connection: Upgrade", b"Upgrade: x"), 400),
    "upgrade, length and chunked": (
        head(b"Connection: Upgrade", b"Upgrade: x", b"Content-Length: 4", CHUNKED) + chunked(BODY, 9),
        400,
    ),
    "NUL in a value": (head(b"X: a\0b"), 400),
    "CR in a value": (head(b"X: a\rb"), 400),
    "blank in a name": (head(b"X Y: a"), 400),
    "no name": (head(b": a"), 400),
    "no colon": (head(b"X"), 400),
    "words": (b"hello\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "100 headers and Host": (head(*(b"X-%d: 1" % n for n in range(100))), 431),
    "2000 headers": (head(*(b"X-%d: 1" % n for n in range(2000))), 431),
    "large header": (head(b"X: " + LARGE), 431),
    "large header without an end": (head(b"X: " + LARGE)[:-4], 431),
    "large name": (head(LARGE + b": 1"), 431),
    "large target": (head(first=b"GET /" + LARGE + b" HTTP/1.1"), 431),
    "64 KB in headers": (head(*(b"X-%d: %s" % (n, b"a" * 1024) for n in range(64))), 431),
    "blank lines": (b"\r\n" * 20_000, 431),
    "chunk size that is none": (head(CHUNKED) + b"xyz\r\n" + BODY, 400),
    "chunk size beyond 2^64": (head(CHUNKED) + b"1" + b"0" * 17 + b"\r\n" + BODY, 400),
    "chunk that goes on": (head(CHUNKED) + b"1\r\nab\r\n0\r\n\r\n", 400),
    "large chunk size": (head(CHUNKED) + b"0" * 40_000, 431),
    "large chunk extension": (head(CHUNKED) + b"1;" + LARGE + b"\r\na\r\n0\r\n\r\n", 431),
    "large trailer": (head(CHUNKED) + b"1\r\na\r\n0\r\nX: " + LARGE + b"\r\n\r\n", 431),
    "large name of a trailer": (head(CHUNKED) + b"1\r\na\r\n0\r\n" + LARGE + b": x\r\n\r\n", 431),
    "many trailers": (head(CHUNKED) + b"1\r\na\r\n0\r\n" + b"X: 1\r\n" * 7_000 + b"\r\n", 431),
    "trailer with a NUL": (head(CHUNKED) + b"1\r\na\r\n0\r\nX: \0\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """With one JSON answer, behind those of earlier requests; nothing behind it is read."""
    data, status = REFUSED[name]
    seed = time.time_ns()
    print(f"seed {seed}")
    before, expected = message(1, "none", "length")

    async def test() -> None:
        async with serving() as server:
            some = data if len(data) < 1000 else data[:1000]
            for parts in cuts(some, random.Random(seed), 5):
                whole = [*parts[:-1], parts[-1] + data[len(some) :] + SMUGGLED]
                (answer,) = await server.talk(whole)
                assert answer.status == status, parts
                assert answer.headers["connection"] == "close"
                assert len(answer.headers["x-request-id"]) == 36
            for packets in ([before, data + SMUGGLED], [before + data + SMUGGLED]):
                first, answer = await server.talk(packets)
                assert (first.body, answer.status) == (expected, status), packets
            whole_requests = [asked for asked in server.asked if "gone" not in asked]
            assert whole_requests == [expected] * 2
            await soon(lambda: len(server.connections) == 0)

    run(test)


#: What some send and nobody can misread.
TAKEN: Final = {
    "HTTP/1.0": head(first=b"GET /x HTTP/1.0"),
    "HTTP/1.0 without a host": head(first=b"GET /x HTTP/1.0", host=b""),
    "empty host": head(host=b"Host:"),
    "host and port": head(host=b"host: onefold_api.example:8080"),
    "IPv6": head(host=b"Host: [::1]:8080"),
    "absolute target": head(first=b"GET http://a/x HTTP/1.1"),
    "99 headers and Host": head(*(b"X-%d: 1" % n for n in range(99))),
    "31 KB of headers": head(*(b"X-%d: %s" % (n, b"a" * 1000) for n in range(31))),
    "blank lines first": b"\r\n\r\n" + head(),
    "30 KB of trailers": head(CHUNKED) + b"1\r\na\r\n0\r\nX: " + b"a" * 30_000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", TAKEN)
def test_taken(name: str) -> None:
    async def test() -> None:
        async with serving() as server:
            for parts in cuts(TAKEN[name], random.Random(1), 5):
                answer, *_ = await server.talk([*parts, LAST])
                assert (answer.status, answer.body["path"]) == (200, "/x"), parts

    run(test)
