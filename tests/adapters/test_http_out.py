"""Calls out: which addresses are refused, in whatever form, and what bounds a call."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.adapters import http_out
from app.adapters.http_out import Bounds, CallError, HttpOut, is_public, problem_of
from tests.servers import free_port

PUBLIC = (
    "1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
)  # fmt: skip
REFUSED = (
    # loopback, private, link-local with the metadata services of clouds, shared, benchmarks, documentation
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.0.1", "100.64.0.1", "100.100.100.200", "198.18.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9",
    # this host, broadcast, multicast, reserved, protocol assignments, relays
    "0.0.0.0", "0.1.2.3", "255.255.255.255", "224.0.0.1", "239.1.1.1", "240.0.0.1", "192.0.0.8", "192.88.99.1",
    # the same in IPv6
    "::", "::1", "fe80::1", "fe80::1%1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1",
    "100::1", "2001::1", "3fff::1",
    # IPv6 addresses that lead to one of IPv4
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a00:1", "::127.0.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "2002:7f00:1::", "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1",
    # none at all
    "", "localhost", "1.1.1.1.1", "0x7f000001",
)  # fmt: skip


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_no_tenant_may_reach(address: str) -> None:
    assert not is_public(address)


#: Hosts that the system takes for an address, however they are written.
DISGUISED = (
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "0", "localhost",
    "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[64:ff9b::7f00:1]",
)  # fmt: skip


@pytest.mark.parametrize("host", DISGUISED)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_disguised_address_is_refused(scheme: str, host: str) -> None:
    with pytest.raises(CallError) as raised:
        HttpOut().post(f"{scheme}://{host}:9/", b"{}")
    # A host without IPv6 may not know some of these names at all.
    assert raised.value.reason in (http_out.REFUSED_ADDRESS, http_out.UNKNOWN_HOST)
    if host[0].isdigit():
        assert raised.value.reason == http_out.REFUSED_ADDRESS


@pytest.mark.parametrize(
    "answer", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["2606:4700::1111", "::1"], ["1.1.1.1", "::"]]
)
def test_one_refused_address_of_a_name_refuses_the_name(answer: list[str]) -> None:
    with pytest.raises(CallError) as raised:
        HttpOut(resolve=lambda _host, _port: answer).post("https://hooks.example.org/", b"{}")
    assert raised.value.reason == http_out.REFUSED_ADDRESS


BAD = (
    "", "hooks.example.org", "//hooks.example.org/", "ftp://hooks.example.org/", "file:///etc/passwd", "http://",
    "http:///path", "gopher://hooks.example.org/", "http://a b/", "http://hooks.example.org/\r\nX: 1",
    "http://user:secret@hooks.example.org/", "http://user@hooks.example.org/", "http://[::1", "http://[fe80::1%25eth0]/",
    "http://hooks.example.org:99999/", "http://hooks.example.org:0/", "http://hooks.example.org:x/",
    "http://hooks.example.org\\@127.0.0.1/", "http://höoks.example.org/", "https://e.org/" + "x" * 2_048,
)  # fmt: skip


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_url_to_call(url: str) -> None:
    assert problem_of(url) == http_out.BAD_URL
    with pytest.raises(CallError) as raised:
        HttpOut(allow_private=True).post(url, b"{}")
    assert raised.value.reason == http_out.BAD_URL


def test_what_can_be_told_of_a_url_beforehand() -> None:
    assert problem_of("https://hooks.example.org/x?y=1") is None
    assert problem_of("https://127.0.0.1/") == http_out.REFUSED_ADDRESS
    assert problem_of("https://127.0.0.1/", allow_private=True) is None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    seen: list[tuple[str, str | None, bytes]]
    release: threading.Event


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Host"], body))
        if self.path == "/slow":  # a byte now and then: no single read is ever late
            self.send_response(200)
            self.end_headers()
            while not self.server.release.wait(0.05):
                self.wfile.write(b".")
                self.wfile.flush()
        elif self.path == "/large":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 100_000)
        elif self.path == "/elsewhere":
            self.send_response(307)
            self.send_header("Location", "/there")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[_Server]:
    found = _Server(("127.0.0.1", 0), _Handler)
    found.seen, found.release = [], threading.Event()
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.release.set()
    found.shutdown()
    thread.join()
    found.server_close()


def _calling(server: _Server, asked: list[str] | None = None, **bounds: float) -> tuple[HttpOut, str]:
    def resolve(host: str, _port: int) -> list[str]:
        if asked is not None:
            asked.append(host)
        return ["127.0.0.1"]

    out = HttpOut(allow_private=True, resolve=resolve, bounds=Bounds(**bounds))  # type: ignore[arg-type]
    return out, f"http://hooks.example.org:{server.server_port}"


def test_a_call_keeps_the_name_and_asks_for_it_once(server: _Server) -> None:
    asked: list[str] = []
    out, base = _calling(server, asked)
    answer = out.post(f"{base}/x?y=1", b'{"a":1}')
    assert (answer.status, answer.body) == (200, b"ok")
    assert server.seen == [("/x?y=1", f"hooks.example.org:{server.server_port}", b'{"a":1}')]
    assert asked == ["hooks.example.org"]


def test_a_redirect_is_an_answer(server: _Server) -> None:
    out, base = _calling(server)
    assert out.post(f"{base}/elsewhere", b"{}").status == 307
    assert [path for path, *_ in server.seen] == ["/elsewhere"]


def test_a_large_answer_is_not_read(server: _Server) -> None:
    out, base = _calling(server, answer_bytes=10_000)
    with pytest.raises(CallError) as raised:
        out.post(f"{base}/large", b"{}")
    assert raised.value.reason == http_out.ANSWER_TOO_LARGE


def test_an_answer_that_never_ends_is_left(server: _Server) -> None:
    out, base = _calling(server, total_seconds=0.3)
    with pytest.raises(CallError) as raised:
        out.post(f"{base}/slow", b"{}")
    assert raised.value.reason == http_out.TIMED_OUT


def test_nobody_listens() -> None:
    with pytest.raises(CallError) as raised:
        HttpOut(allow_private=True).post(f"http://127.0.0.1:{free_port()}/", b"{}")
    assert raised.value.reason == http_out.NOT_CONNECTED


def test_what_speaks_no_tls(server: _Server) -> None:
    out, base = _calling(server)
    with pytest.raises(CallError) as raised:
        out.post(base.replace("http:", "https:") + "/", b"{}")
    assert raised.value.reason == http_out.TLS_FAILED
    assert server.seen == []


def test_the_environments_proxies_are_not_asked(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    out, base = _calling(server)
    assert out.post(f"{base}/", b"{}").status == 200
