"""IP addresses: which are loopback, and which belong to one client."""

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

CLIENT_PREFIX_LENGTH = 64
"""Bits of an IPv6 address that a client cannot choose; the rest is its own (RFC 4291, section 2.5.4)."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to this host; an empty host means every address.

    Raises:
        OSError: the host name cannot be resolved.
    """
    found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return all(_unmapped(str(address[0])).is_loopback for *_, address in found)


@lru_cache(maxsize=64)  # Clients send few distinct values, the same with every request.
def names_loopback(name: str) -> bool:
    """Return whether a URL's host is this machine whatever DNS says (RFC 6761, section 6.3).

    IPv6 addresses come without brackets.
    """
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return _unmapped(name).is_loopback
    except ValueError:
        return False


def client_network(remote: str | None) -> str:
    """Return one name for all addresses that a client may have at once."""
    if not remote:
        return "unknown"
    address = _unmapped(remote)
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), CLIENT_PREFIX_LENGTH), strict=False))


def _unmapped(text: str) -> IPv4Address | IPv6Address:
    """Return the address, with IPv4-mapped IPv6 addresses as IPv4 (RFC 4291, section 2.5.5.2)."""
    address = ip_address(text)
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
