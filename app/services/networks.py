"""Addresses of clients: who called, behind which proxies, and whether an address is in a list of networks. Pure."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: One client of IPv6 has a whole network, and may call from any address of it.
_CLIENT_PREFIX_IPV6 = 64


def parse_network(text: str) -> Network:
    """An address or a CIDR block, as 10.0.0.0/8 or 2001:db8::/32. Raises ValueError, also for bits behind the prefix.

    An IPv4 address in IPv6 notation (::ffff:192.0.2.1) is the IPv4 address.
    """
    network = ip_network(text.strip())
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """As `parse_network`, for many; empty texts are left out."""
    return tuple(parse_network(text) for text in texts if text.strip())


def contains(networks: Iterable[Network], address: Address) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """Who called: the peer, or where that is one of our proxies, the rightmost hop that is not.

    `peer` is the other end of the connection, `forwarded` the values of X-Forwarded-For in their order. What stands to
    the left of the hop found was written by somebody whom nobody vouches for, so it is not looked at. None = unknown:
    no peer, or a trusted proxy names something that is no address.
    """
    address = _address(peer or "")
    if address is None or not contains(trusted, address):
        return address
    hops = [hop for value in forwarded for hop in value.split(",")]
    for hop in reversed(hops):
        address = _address(hop)
        if address is None or not contains(trusted, address):
            return address
    return address


def is_trusted(peer: str | None, trusted: Sequence[Network]) -> bool:
    """Whether the other end of a connection is one of our proxies."""
    address = _address(peer or "")
    return address is not None and contains(trusted, address)


def origin(address: Address | None) -> str:
    """What stands for a client where clients are told apart: its address, of IPv6 the network of it."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _CLIENT_PREFIX_IPV6), strict=False))
    return str(address)


def _address(text: str) -> Address | None:
    """An address, without the port that some proxies add. None when it is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped
    return found
