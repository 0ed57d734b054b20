"""Listening sockets, which several processes may share."""

import errno
import socket
from collections.abc import Sequence

import attrs

BACKLOG = 1024
"""Maximum connections waiting to be accepted; the kernel may allow fewer."""

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared with, not bound to
"""What a browser on this machine connects to where a server listens on all addresses."""

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@attrs.frozen
class Listeners:
    """The listening sockets of a server. Without ``metrics``, the metrics are where the API is."""

    api: Sequence[socket.socket]
    metrics: Sequence[socket.socket] = ()

    def close(self) -> None:
        """Close the sockets in this process."""
        close([*self.api, *self.metrics])


def listen(host: str, port: int) -> Sequence[socket.socket]:
    """Listen on every address of the host name; port 0 picks a free one.

    Raises:
        OSError: no address is available, or one is in use.
    """
    sockets: list[socket.socket] = []
    missing: OSError | None = None
    for family, address in _addresses(host, port):
        try:
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                close(sockets)
                raise
            # A name such as localhost often has an IPv6 address on machines without IPv6.
            missing = error
    if not sockets and missing is not None:
        raise missing
    return sockets


def close(sockets: Sequence[socket.socket]) -> None:
    """Close the sockets in this process."""
    for listening in sockets:
        listening.close()


def url_of(sockets: Sequence[socket.socket]) -> str:
    """Return the server's URL, without a trailing slash."""
    return _url(*sockets[0].getsockname()[:2])


def page_url_of(sockets: Sequence[socket.socket]) -> str:
    """Return the URL of the web page for a browser on this machine."""
    host, port = sockets[0].getsockname()[:2]
    return f"{_url(_LOOPBACK.get(host, host), port)}/ui/"


def _url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Return the distinct addresses of a name; an empty name means all addresses of this machine."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found))
