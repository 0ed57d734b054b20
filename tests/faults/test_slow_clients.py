"""Clients that send or read very slowly: closed at their deadlines, without affecting others."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import attrs
import pytest

from entrypoints.http.transport.connection_limits import reserve_descriptors
from tests.figures import Figures, Scale
from tests.servers import POST_RUN, Api, MakeRun, Serve

LATE = 10
"""Tolerance for a loaded machine, in seconds."""

SLOW_HEAD = POST_RUN + b"X-A: "
SLOW_BODY = POST_RUN + b"Content-Length: 1000000\r\n\r\n{"
SLOW_CHUNKS = POST_RUN.replace(b"runs", b"runs/batch") + b"Transfer-Encoding: chunked\r\n\r\n"


@attrs.frozen
class Ended:
    """What a slow client saw: everything received, and the seconds until the connection closed."""

    received: bytes
    seconds: float

    @property
    def status(self) -> int:
        """Return the status of the only response, an error in JSON and the last of its connection."""
        head, _, body = self.received.partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        assert list(json.loads(body)) == ["detail", "request_id"]
        return int(head.split()[1])


async def drip(host: str, port: int, start: bytes, drop: bytes) -> Ended:
    """Send a start, then a drop now and then until the server closes the connection."""
    loop = asyncio.get_running_loop()
    begun = time.monotonic()
    with socket.socket() as connection:
        connection.settimeout(0)
        await loop.sock_connect(connection, (host, port))
        await loop.sock_sendall(connection, start)
        answer = asyncio.create_task(receive(connection))
        while not answer.done():
            assert time.monotonic() - begun < 3 * LATE, "the connection was not closed"
            # A server that has closed the connection accepts nothing.
            with suppress(ConnectionError):
                await loop.sock_sendall(connection, drop)
            await asyncio.wait({answer}, timeout=0.2)
        return Ended(await answer, time.monotonic() - begun)


async def receive(connection: socket.socket) -> bytes:
    """Read until the connection closes; a late drop turns that into a reset."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while piece := await asyncio.get_running_loop().sock_recv(connection, 65536):
            received += piece
    return bytes(received)


async def drip_all(api: Api, clients: Sequence[tuple[bytes, bytes]]) -> Sequence[Ended]:
    """Run all these clients at once."""
    address = urlsplit(api.url)
    assert address.hostname
    assert address.port
    return await asyncio.gather(*(drip(address.hostname, address.port, *client) for client in clients))


def descriptors(pid: int) -> int:
    """Return the number of files and sockets that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def assert_descriptors_come_back(pid: int, before: int) -> None:
    """Wait until a process has no more files and sockets open than before."""
    give_up = time.monotonic() + LATE
    while descriptors(pid) > before and time.monotonic() < give_up:
        time.sleep(0.05)
    assert descriptors(pid) <= before


def keep_uploading(api: Api, make_run: MakeRun, stop: Event) -> list[int]:
    """Upload runs one after another until stopped; return all statuses."""
    statuses = []
    while not stop.is_set():
        statuses.append(api.create(make_run()).status)
    return statuses


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors in /proc")  # noqa: PTH112
def test_slow_clients_end_on_their_deadline_and_harm_nobody(
    serve: Serve, make_run: MakeRun, scale: Scale, figures: Figures
) -> None:
    """Slow heads and slow bodies each get 408 at their deadline; all other requests meanwhile succeed."""
    number = scale(50, 500)
    # A thousand clients in one process take some seconds to send their first byte.
    deadline = scale(2, 10)
    slow = [(SLOW_HEAD, b"a")] * number + [(SLOW_BODY, b" "), (SLOW_CHUNKS, b"1\r\n{\r\n")] * (number // 2)
    # Room for others: the connection limit is another test.
    options = ["--port", "0", "--header-seconds", str(deadline), "--body-seconds", str(deadline)]
    options += ["--max-connections", str(len(slow) + 100)]
    reserve_descriptors(len(slow))
    with serve(*options) as served, ThreadPoolExecutor(1) as other:
        assert served.api.create(make_run()).status == 201
        assert served.api.find().body["total"] == 1
        before = descriptors(served.process.pid)
        stop = Event()
        statuses = other.submit(keep_uploading, served.api, make_run, stop)
        try:
            ended = asyncio.run(drip_all(served.api, slow))
        finally:
            stop.set()
        assert {one.status for one in ended} == {408}
        assert all(deadline <= one.seconds < deadline + LATE for one in ended)
        assert set(statuses.result()) == {201}
        assert served.api.find().body["total"] == 1 + len(statuses.result())
        assert_descriptors_come_back(served.process.pid, before)
    latest = max(one.seconds for one in ended)
    figures(
        slow_clients=len(ended),
        deadline=f"{deadline} s",
        last_closed_after=f"{latest:.1f} s",
        requests_of_others=len(statuses.result()),
        failed=0,
        descriptors_left=0,
    )


def test_a_connection_that_says_nothing_is_closed_in_silence(serve: Serve) -> None:
    """Without a request there is no response, neither before the first request nor after one."""
    options = ("--port", "0", "--header-seconds", "1", "--idle-seconds", "1")
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serve(*options) as served:
        fresh, resting = asyncio.run(drip_all(served.api, [(b"", b""), (health, b"")]))
        assert fresh.received == b""
        assert resting.received.count(b"HTTP/1.1") == 1
        assert resting.received.startswith(b"HTTP/1.1 200 ")
        assert all(1 <= one.seconds < 1 + LATE for one in (fresh, resting))


def test_a_second_slow_head_is_as_bad_as_the_first(serve: Serve) -> None:
    """On a reused connection, the deadline runs from the first byte of the next request."""
    health = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serve("--port", "0", "--header-seconds", "1") as served:
        (ended,) = asyncio.run(drip_all(served.api, [(health, b"GET /health HTTP/1.1\r\nX-A: ")]))
        assert ended.received.startswith(b"HTTP/1.1 200 ")
        assert ended.received.count(b"HTTP/1.1 408 ") == 1


def test_a_client_that_does_not_read_is_cut(serve: Serve, make_run: MakeRun) -> None:
    """A response that nobody reads does not hold its connection forever."""
    with serve("--port", "0", "--body-seconds", "1") as served:
        address = urlsplit(served.api.url)
        assert served.api.lenient([make_run(input_summary="x" * 100_000) for _ in range(100)]).status == 201
        assert served.api.find().body["total"] == 100
        before = descriptors(served.process.pid)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect((address.hostname, address.port))
            client.sendall(b"GET /api/v1/runs?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(1)
            assert_descriptors_come_back(served.process.pid, before)


def test_a_head_without_end_is_431(serve: Serve) -> None:
    """However fast it arrives, a head is rejected if it exceeds the limit, which the response names."""
    with serve("--port", "0") as served:
        (ended,) = asyncio.run(drip_all(served.api, [(SLOW_HEAD + b"a\r\n", (b"X-A: " + b"a" * 3000 + b"\r\n") * 10)]))
        assert ended.status == 431
        assert ended.seconds < LATE
