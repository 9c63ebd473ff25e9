"""X-Forwarded-For on the wire: the header of a trusted proxy says who called, in every form, and no trailer does."""

import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from tests.api.harness import Service, running, served, settings_for
from tests.servers import ValkeyServer

BODY: Final = b'{"attributes":[{"external_id":"s"}]}'
INSIDE, OUTSIDE, PROXY = "192.0.2.77", "203.0.113.9", "127.0.0.1"


@pytest.fixture(scope="module", params=[PROXY, ""], ids=["behind a proxy", "no proxy"])
def listening(
    valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[Service, int, bool]]:
    folder: Path = tmp_path_factory.mktemp("forwarded")
    settings = settings_for("", valkey_server.url, folder, trusted_proxies=request.param)
    with running(settings) as service, served(settings) as port:
        yield service, port, bool(request.param)


#: Lines of the head, and whether the key's allow-list lets them in where their sender is a trusted proxy.
HEADS: Final = {
    "none": ([], False),
    "inside": ([f"X-Forwarded-For: {INSIDE}"], True),
    "outside": ([f"X-Forwarded-For: {OUTSIDE}"], False),
    "made up, then outside": ([f"X-Forwarded-For: {INSIDE}, {OUTSIDE}"], False),
    "made up, then outside, in two lines": ([f"X-Forwarded-For: {INSIDE}", f"X-Forwarded-For: {OUTSIDE}"], False),
    "outside, then inside": ([f"X-Forwarded-For: {OUTSIDE}, {INSIDE}"], True),
    "through two proxies": ([f"X-Forwarded-For: {INSIDE}, {PROXY}"], True),
    "other case, blanks, a port": ([f"x-forwarded-FOR:  {INSIDE}:4711 "], True),
    "in quotes": ([f'X-Forwarded-For: "{INSIDE}"'], True),
    "IPv4 as IPv6": ([f"X-Forwarded-For: ::ffff:{INSIDE}"], True),
    "no address": ([f"X-Forwarded-For: {INSIDE}, unknown"], False),
    "empty": (["X-Forwarded-For:"], False),
    "an empty hop": ([f"X-Forwarded-For: {INSIDE},"], False),
    "underscores": ([f"X_Forwarded_For: {INSIDE}"], False),
    "other headers": ([f"Forwarded: for={INSIDE}", f"X-Real-IP: {INSIDE}"], False),
}
TRAILERS: Final = ("", "X-Forwarded-For", "x-forwarded-for", "Forwarded", "X-Real-IP", "Authorization")


@pytest.mark.parametrize("name", HEADS)
def test_forms(listening: tuple[Service, int, bool], name: str) -> None:
    """Trailers change nothing, whether they name somebody who is allowed or somebody who is not."""
    service, port, trusted = listening
    made = service.workspace()
    key = service.key(made.id, "users.track", ip_allowlist=["192.0.2.0/24"])
    lines, allowed = HEADS[name]
    expected = 201 if trusted and allowed else 403
    head = [
        "POST /users/track HTTP/1.1",
        "Host: a",
        "Connection: close",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
        *lines,
    ]
    for trailer, value in product(TRAILERS, (INSIDE, OUTSIDE)):
        trailers = [f"{trailer}: {value}"] if trailer else []
        message = "\r\n".join([*head, "", f"{len(BODY):x}", BODY.decode(), "0", *trailers, "", ""])
        with socket.create_connection((PROXY, port), timeout=10) as connection:
            connection.sendall(message.encode())
            assert connection.makefile("rb").readline().split()[1] == str(expected).encode(), (trailer, value)


def test_a_key_in_a_trailer(listening: tuple[Service, int, bool]) -> None:
    service, port, _ = listening
    made = service.workspace()
    for framing in ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTrailer: Authorization"):
        message = (
            f"POST /users/track HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{framing}\r\n"
            f"Connection: close\r\n\r\n{len(BODY):x}\r\n{BODY.decode()}\r\n0\r\n"
            f"Authorization: Bearer {made.key}\r\n\r\n"
        )
        with socket.create_connection((PROXY, port), timeout=10) as connection:
            connection.sendall(message.encode())
            assert connection.makefile("rb").readline().split()[1] == b"401"
    made.drain()
    assert made.stored() == []
