"""A TCP proxy in front of any server, which breaks connections, or responds in place of the server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from urllib.parse import urlsplit

import attrs

_PIECE = 64 * 1024


@attrs.frozen
class Cut:
    """Break the connection once so many bytes of the request, or of the response, have passed."""

    request_bytes: int | None = None
    response_bytes: int | None = None


@attrs.frozen
class Respond:
    """Read what there is of the request, and respond without asking the server."""

    content: bytes


def response(status: int, body: bytes = b'{"detail": "busy"}', *headers: str) -> Respond:
    """Respond like this and close the connection."""
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return Respond("\r\n".join(head).encode() + body)


class Proxy:
    """``script`` says what happens to one connection after the other; those that follow pass."""

    def __init__(self, target: str, script: list[Cut | Respond]) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._script = iter(script)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                Thread(target=self._handle, args=(client, next(self._script, Cut())), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _handle(self, client: socket.socket, fate: Cut | Respond) -> None:
        with client, suppress(OSError):
            if isinstance(fate, Respond):
                client.recv(_PIECE)
                client.sendall(fate.content)
                client.shutdown(socket.SHUT_WR)
                while client.recv(_PIECE):
                    pass
                return
            with socket.create_connection(self._target) as server:
                there = Thread(target=_pass_on, args=(client, server, fate.request_bytes), daemon=True)
                there.start()
                _pass_on(server, client, fate.response_bytes)


def _pass_on(source: socket.socket, target: socket.socket, most: int | None) -> None:
    """Pass bytes on until the source ends, or break both connections after that many."""
    left = most
    with suppress(OSError):
        while piece := source.recv(_PIECE if left is None else min(_PIECE, left)):
            target.sendall(piece)
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    break
        if left is not None and left <= 0:
            for broken in (source, target):
                broken.shutdown(socket.SHUT_RDWR)
        else:
            target.shutdown(socket.SHUT_WR)


@contextmanager
def running_proxy(target: str, *script: Cut | Respond) -> Iterator[Proxy]:
    """A proxy on a free port."""
    proxy = Proxy(target, list(script))
    thread = Thread(target=proxy.serve)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
