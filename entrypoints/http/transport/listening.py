"""The sockets that a server listens on, which several processes may share."""

import errno
import socket
from collections.abc import Sequence

BACKLOG = 1024
"""Connections that may wait to be accepted; the kernel may allow fewer."""

_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listen(host: str, port: int) -> Sequence[socket.socket]:
    """Listen on every address that the host name stands for; port 0 takes a free one.

    Raises:
        OSError: no address can be had, or one is taken by somebody else.
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
            # A name such as localhost often has an IPv6 address on machines that do not speak IPv6.
            missing = error
    if not sockets and missing is not None:
        raise missing
    return sockets


def close(sockets: Sequence[socket.socket]) -> None:
    """Stop listening, as far as this process is concerned."""
    for listening in sockets:
        listening.close()


def url_of(sockets: Sequence[socket.socket]) -> str:
    """Where a client finds the server, without a slash at the end."""
    host, port = sockets[0].getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """The distinct addresses of a name; an empty one stands for all of this machine."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, (str(address[0]), int(address[1]))) for family, _, _, _, address in found))
