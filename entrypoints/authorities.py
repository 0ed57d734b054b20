"""Hosts and origins in settings and requests (RFC 9110, section 4.2, and RFC 6454)."""

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from typing import Final, TypeVar

import attrs

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.ASCII | re.IGNORECASE)
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://(.+)", re.ASCII | re.IGNORECASE)

_T = TypeVar("_T")


@attrs.frozen
class Host:
    """A lower-case name or an address without brackets, and the port if given."""

    name: str
    port: int | None

    @property
    def ports(self) -> frozenset[int]:
        """The possible ports. Without an explicit one, either default port: only a proxy knows the scheme."""
        return frozenset(_DEFAULT_PORTS.values() if self.port is None else (self.port,))

    def covers(self, other: "Host") -> bool:
        """Return whether this list entry matches another host; an entry without a port matches every port."""
        return self.name == other.name and (self.port is None or self.port in other.ports)


@attrs.frozen
class Origin:
    """The origin of a page; ``port`` is ``None`` only for a scheme without a default port."""

    scheme: str
    name: str
    port: int | None

    def is_at(self, host: Host) -> bool:
        """Return whether the page comes from this host, even if a proxy terminates its TLS."""
        return self.scheme in _DEFAULT_PORTS and self.name == host.name and self.port in host.ports


@lru_cache(maxsize=64)  # Clients send few distinct values, the same with every request.
def read_host(text: str) -> Host | None:
    """Return the host of a ``Host`` header, or ``None`` if it is invalid."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    address, name, digits = match.groups()
    port = None if digits is None else int(digits)
    if port is not None and port > 65535:
        return None
    try:
        return Host(name.lower() if address is None else str(IPv6Address(address)), port)
    except AddressValueError:
        return None


def read_origin(text: str) -> Origin | None:
    """Return the origin of an ``Origin`` header, or ``None`` if it is invalid or ``null``."""
    match = _ORIGIN.fullmatch(text)
    host = None if match is None else read_host(match[2])
    if match is None or host is None:
        return None
    scheme = match[1].lower()
    return Origin(scheme, host.name, _DEFAULT_PORTS.get(scheme) if host.port is None else host.port)


def parse_hosts(text: str | None) -> frozenset[Host]:
    """Return the hosts of the setting ``allowed-hosts``.

    Raises:
        ValueError: an entry is not a host.
    """
    return _parse_list(
        text,
        read_host,
        "allowed-hosts must be names or addresses such as runs.example, runs.example:8443 or [fd00::7], "
        "separated by commas",
    )


def parse_origins(text: str | None) -> frozenset[Origin]:
    """Return the origins of the setting ``allowed-origins``.

    Raises:
        ValueError: an entry is not an origin.
    """
    return _parse_list(
        text,
        read_origin,
        "allowed-origins must be origins such as https://app.example or http://localhost:3000, without a path, "
        "separated by commas; * is not accepted, so list each",
    )


def _parse_list(text: str | None, read: Callable[[str], _T | None], rule: str) -> frozenset[_T]:
    found = set()
    for entry in filter(None, map(str.strip, (text or "").split(","))):
        value = read(entry)
        if value is None:
            raise ValueError(f"{rule}; {entry!r} is invalid")
        found.add(value)
    return frozenset(found)
