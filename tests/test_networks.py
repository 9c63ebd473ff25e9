"""Who called: the rightmost hop that is not one of our proxies, and nobody whom a client made up."""

from ipaddress import ip_address

import pytest

from app.services.networks import client_address, contains, origin, parse_network, parse_networks

PROXIES = parse_networks(["10.0.0.0/8", "2001:db8::1"])

CALLS = [
    # peer, values of X-Forwarded-For, who called
    ("nobody in between", "192.0.2.1", [], "192.0.2.1"),
    ("a stranger's header is not looked at", "192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
    ("behind a proxy", "10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
    ("behind two of them", "10.1.1.1", ["203.0.113.9, 10.2.2.2"], "203.0.113.9"),
    ("what the client wrote itself", "10.1.1.1", ["198.51.100.7, 203.0.113.9, 10.2.2.2"], "203.0.113.9"),
    ("and pretends to be a proxy", "10.1.1.1", ["10.3.3.3, 203.0.113.9"], "203.0.113.9"),
    ("in several headers", "10.1.1.1", ["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
    ("the proxy itself", "10.1.1.1", [], "10.1.1.1"),
    ("only proxies", "10.1.1.1", ["10.9.9.9"], "10.9.9.9"),
    ("IPv6", "2001:db8::1", ["2001:db8:f::2"], "2001:db8:f::2"),
    ("IPv6 that is not the proxy", "2001:db8::2", ["203.0.113.9"], "2001:db8::2"),
    ("IPv4 written as IPv6", "::ffff:10.1.1.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
    ("with ports", "10.1.1.1", ["[2001:db8:f::2]:4711"], "2001:db8:f::2"),
    ("with a port", "10.1.1.1", ["203.0.113.9:4711"], "203.0.113.9"),
    ("a proxy that names no address", "10.1.1.1", ["203.0.113.9, unknown"], None),
    ("an empty hop", "10.1.1.1", ["203.0.113.9,"], None),
    ("a Unix socket", None, ["203.0.113.9"], None),
]


@pytest.mark.parametrize(("peer", "forwarded", "expected"), [row[1:] for row in CALLS], ids=[row[0] for row in CALLS])
def test_who_called(peer: str | None, forwarded: list[str], expected: str | None) -> None:
    assert client_address(peer, forwarded, PROXIES) == (expected and ip_address(expected))


@pytest.mark.parametrize("text", ["", "10.0.0.1/8", "10.0.0", "x", "10.0.0.0/33", "2001:db8::1/32"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its words are Python's
        parse_network(text)


def test_membership() -> None:
    listed = parse_networks(["192.0.2.0/24", "2001:db8::/32", "198.51.100.7", "::ffff:203.0.113.0/120", " "])
    assert len(listed) == 4
    inside = ("192.0.2.255", "2001:db8:1::1", "198.51.100.7", "203.0.113.5")
    outside = ("192.0.3.1", "2001:db9::1", "198.51.100.8", "203.0.114.1")
    assert [contains(listed, ip_address(text)) for text in inside] == [True] * 4
    assert [contains(listed, ip_address(text)) for text in outside] == [False] * 4


def test_a_client_of_ipv6_is_its_network() -> None:
    assert origin(ip_address("2001:db8:1:2:3::4")) == origin(ip_address("2001:db8:1:2:ffff::1")) == "2001:db8:1:2::/64"
    assert origin(ip_address("192.0.2.1")) != origin(ip_address("192.0.2.2"))
    assert origin(None) == "None"
