"""Requests over HTTP/1.1, against real servers and against sockets that misbehave."""

import json
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from adapters.api_client.connection import ApiConnection
from adapters.api_client.errors import InvalidResponseError, TruncatedResponseError
from core.errors import ServerUnreachableError
from tests.adapters.api_client.scripted import received_head, saying, scripted
from tests.servers import Api, MakeRun

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def test_keep_alive(server: Api, make_run: MakeRun) -> None:
    """Requests follow each other on one connection, also after one in chunks."""
    run = make_run(event_id="e-1")
    with ApiConnection(server.url) as connection:
        headers = {"Content-Type": "application/json"}
        sent = connection.request("POST", "/api/v1/runs", json.dumps(run).encode(), headers)
        again = connection.request("POST", "/api/v1/runs", iter([json.dumps(run).encode()]), headers)
        found = connection.request("GET", "/api/v1/runs/launch-1")
    assert (sent.status, again.status, found.status) == (201, 201, 200)
    assert sent.body == again.body == found.body
    assert found.headers["content-type"].startswith("application/json")


def test_prefix_and_token() -> None:
    """The path of the URL precedes that of the request; the token goes along."""
    seen: list[bytes] = []

    def script(connected: socket.socket) -> None:
        seen.append(received_head(connected))
        connected.sendall(OK)

    with scripted(script) as url, ApiConnection(f"{url}/telemetry/", "secret") as connection:
        assert connection.request("GET", "/health").body == b"{}"
    assert seen[0].startswith(b"GET /telemetry/health HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer secret\r\n" in seen[0]


def test_a_connection_closed_meanwhile_is_opened_again() -> None:
    """The server closes an idle connection; the next request does not notice."""
    with scripted(saying(OK), saying(OK)) as url, ApiConnection(url) as connection:
        assert connection.request("GET", "/health").status == 200
        assert connection.request("GET", "/health").status == 200


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"", ServerUnreachableError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", TruncatedResponseError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", TruncatedResponseError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", TruncatedResponseError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", InvalidResponseError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + b" " * 101, InvalidResponseError),
    ],
)
def test_bad_responses(response: bytes, error: type[Exception]) -> None:
    """What breaks off, is no HTTP or too large is told apart."""
    with (
        scripted(saying(response)) as url,
        ApiConnection(url, max_response_bytes=100) as connection,
        pytest.raises(error),
    ):
        connection.request("GET", "/health")


def test_nobody_listens() -> None:
    """A refused connection and silence are one kind of error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            ApiConnection(url, timeout=0.1) as connection,
            pytest.raises(ServerUnreachableError, match=r"within 0\.1 s"),
        ):
            connection.request("GET", "/health")
    with ApiConnection(url) as connection, pytest.raises(ServerUnreachableError, match="cannot reach"):
        connection.request("GET", "/health")


@pytest.mark.parametrize("url", ["", "runs.example", "ftp://a", "http://", "http://u:p@a", "http://a/?b", "http://a#b"])
def test_urls_that_name_no_server(url: str) -> None:
    """A URL that cannot be right is refused at once."""
    with pytest.raises(ValueError, match="the URL"):
        ApiConnection(url)


def streamed(url: str, body: Iterator[bytes]) -> AbstractContextManager[list[bytes]]:
    """Stream a body and collect the lines of the response."""

    @contextmanager
    def block() -> Iterator[list[bytes]]:
        with ApiConnection(url) as connection, connection.stream("POST", "/x", body) as stream:
            yield list(stream.lines())

    return block()


def test_sending_and_reading_at_once() -> None:
    """The server sends more than any buffer holds while it reads, and still both come to their end."""
    line = b"%x\r\n%b\r\n" % (1000, b"x" * 999 + b"\n")

    def script(connected: socket.socket) -> None:
        received_head(connected)
        connected.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        read = b""
        while not read.endswith(b"0\r\n\r\n"):
            read = read[-10:] + connected.recv(65536)
            connected.sendall(line * 20)
        connected.sendall(b"0\r\n\r\n")

    with scripted(script) as url, streamed(url, iter([b"y" * 60_000] * 1000)) as lines:
        assert len(lines) > 1000
        assert set(lines) == {b"x" * 999}


def test_lines_until_it_breaks_off() -> None:
    """Whole lines are handed out, half a line never is."""
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\none\r\n\ntw\r\n"
    with scripted(saying(response)) as url, ApiConnection(url) as connection, connection.stream("GET", "/x") as stream:
        lines = stream.lines()
        assert next(lines) == b"one"
        with pytest.raises(TruncatedResponseError):
            next(lines)


def test_a_refusal_before_the_end_of_the_body() -> None:
    """A server that refuses the rest of a body is heard."""

    def script(connected: socket.socket) -> None:
        received_head(connected)
        connected.sendall(b"HTTP/1.1 413 Too large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        connected.shutdown(socket.SHUT_WR)
        while connected.recv(65536):
            pass

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    with scripted(script) as url, ApiConnection(url) as connection:
        response = connection.request("POST", "/x", endless())
    assert (response.status, response.body) == (413, b"{}")
