"""A light HTTP/1.1 client: several kept-alive connections in one thread, with prepared requests.

It supports only responses with a Content-Length. It has to be light because it shares the processor with the server
under test.
"""

import re
import selectors
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from urllib.parse import urlsplit

import attrs

STALLED_SECONDS = 60.0
_READ_BYTES = 256 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class LoadError(Exception):
    """An unexpected response; the message says what is wrong."""


@attrs.frozen
class Request:
    """One request, complete with its head."""

    data: bytes
    runs: int = 0
    event_id: bytes = b""


@attrs.frozen
class Target:
    """Where runs are sent, and whether they should be returned."""

    url: str
    path: str
    minimal: bool

    def post(self, body: bytes, runs: int, event_id: str = "") -> Request:
        """Return a POST of JSON that holds this many runs."""
        prefer = "Prefer: return=minimal\r\n" if self.minimal else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {urlsplit(self.url).netloc}\r\nContent-Type: application/json\r\n"
            f"{prefer}Content-Length: {len(body)}\r\n\r\n"
        )
        return Request(head.encode() + body, runs, event_id.encode())


@attrs.frozen
class Answer:
    """The status and body of a response; the body is valid until the next response on its connection."""

    status: int
    body: bytearray


Check = Callable[[Request, Answer], None]


class Connection:
    """One connection, with at most one request in flight."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port or 80), timeout=STALLED_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(0)
        self._chunk = bytearray(_READ_BYTES)
        self._unsent = memoryview(b"")
        self._received = bytearray()
        self._head_length = self._length = 0
        self.request: Request | None = None
        self.began = 0.0

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, request: Request) -> None:
        """Begin a request; ``flush`` sends what the socket does not accept at once."""
        self.request, self._unsent = request, memoryview(request.data)
        self._received = bytearray()
        self._head_length = self._length = 0
        self.began = perf_counter()
        self.flush()

    def flush(self) -> None:
        """Send as much as the socket accepts."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass

    @property
    def sending(self) -> bool:
        """Whether part of the request is unsent."""
        return bool(self._unsent)

    def receive(self) -> Answer | None:
        """Read what has arrived; return the response once it is complete."""
        try:
            count = self._socket.recv_into(self._chunk)
        except BlockingIOError:
            return None
        if not count:
            raise LoadError("the server closed a connection instead of answering")
        self._received += memoryview(self._chunk)[:count]
        if not self._length and not self._read_head():
            return None
        if len(self._received) < self._length:
            return None
        status = int(self._received[9:12])
        del self._received[: self._head_length]
        return Answer(status, self._received)

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        found = _LENGTH.search(self._received, 0, end)
        if found is None:
            raise LoadError(f"an answer has no Content-Length: {bytes(self._received[:end])!r}")
        self._head_length = end + 4
        self._length = self._head_length + int(found[1])
        return True


def get(url: str, path: str) -> Request:
    """A GET."""
    return Request(f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n\r\n".encode())


@contextmanager
def connections(url: str, count: int) -> Iterator[Sequence[Connection]]:
    """Open connections, and close them at the end."""
    opened: list[Connection] = []
    try:
        for _ in range(count):
            opened.append(Connection(url))  # noqa: PERF401 - those opened before one fails are closed
        yield opened
    finally:
        for connection in opened:
            connection.close()


def drive(clients: Sequence[Connection], requests: Iterator[Request], seconds: float, check: Check) -> list[float]:
    """Keep every client busy until the time is up or the requests run out; return the latencies in seconds.

    Each client sends its next request when it has its response. All requests in flight are awaited.
    """
    latencies: list[float] = []
    end = perf_counter() + seconds
    busy = 0
    with selectors.DefaultSelector() as selector:
        for client in clients:
            if (request := next(requests, None)) is not None:
                client.send(request)
                selector.register(client, _interest(client), client)
                busy += 1
        while busy:
            ready = selector.select(STALLED_SECONDS)
            if not ready:
                raise LoadError(f"no answer for {STALLED_SECONDS:.0f} s")
            for key, events in ready:
                client = key.data
                if events & selectors.EVENT_WRITE:
                    client.flush()
                answer = client.receive() if events & selectors.EVENT_READ else None
                if answer is not None:
                    now = perf_counter()
                    latencies.append(now - client.began)
                    check(client.request, answer)
                    request = next(requests, None) if now < end else None
                    if request is None:
                        busy -= 1
                        selector.unregister(client)
                        continue
                    client.send(request)
                if key.events != (interest := _interest(client)):
                    selector.modify(client, interest, client)
    return latencies


def fetch(client: Connection, request: Request) -> tuple[int, bytes]:
    """Send one request on its own connection."""
    kept: list[tuple[int, bytes]] = []
    drive([client], iter([request]), 0, lambda _, answer: kept.append((answer.status, bytes(answer.body))))
    return kept[0]


def _interest(client: Connection) -> int:
    return selectors.EVENT_READ | (selectors.EVENT_WRITE if client.sending else 0)
