"""Servers that say exactly what they are told to."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from tests.servers import DEADLINE_SECONDS

Script = Callable[[socket.socket], None]


@contextmanager
def scripted(*scripts: Script) -> Iterator[str]:
    """Serve one connection after the other as the scripts say; the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(DEADLINE_SECONDS)

        def serve() -> None:
            for script in scripts:
                connected, _ = listening.accept()
                with connected, suppress(ConnectionError):
                    script(connected)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            thread.join()


def saying(response: bytes) -> Script:
    """Read the head of a request, respond with this and close."""

    def script(connected: socket.socket) -> None:
        received_head(connected)
        connected.sendall(response)

    return script


def received_head(connected: socket.socket) -> bytes:
    """Read up to the end of the head of a request."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connected.recv(65536)
        if not piece:
            break
        received += piece
    return received
