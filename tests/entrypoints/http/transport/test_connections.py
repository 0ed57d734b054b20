"""The connection limit, and responses to malformed HTTP."""

import json
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from entrypoints.http.transport.connection_limits import SPARE_DESCRIPTORS
from entrypoints.settings import Settings
from tests.servers import (
    DEADLINE_SECONDS,
    POST_RUN,
    RUNSINK,
    Api,
    MakeRun,
    Serve,
    Start,
    own_environment,
)


def connect(api: Api) -> socket.socket:
    """Open a connection without sending a request."""
    address = urlsplit(api.url)
    return socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS)


def read_to_end(connection: socket.socket) -> bytes:
    """Read until the server closes the connection."""
    with connection.makefile("rb") as stream:
        return stream.read()


def is_served(connection: socket.socket) -> bool:
    """Return whether a request over the connection gets 200."""
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_one_connection_too_many_is_told_so(start: Start) -> None:
    """A connection beyond the limit gets 503 in JSON at once; those within it are served; closing one frees a place."""
    with start(max_connections=3) as server, ExitStack() as stack:
        kept = [stack.enter_context(connect(server)) for _ in range(3)]
        assert all(map(is_served, kept))
        with connect(server) as refused:
            head, _, body = read_to_end(refused).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 1\r\n" in head
        shown = json.loads(body)
        assert f"\r\nX-Request-ID: {shown.pop('request_id')}\r\n".encode() in head
        assert shown == {"detail": "more than 3 connections (max_connections)"}
        assert all(map(is_served, kept))
        kept.pop().close()
        assert wait_for_room(server)


def wait_for_room(server: Api) -> bool:
    """Return whether a new connection is served soon."""
    give_up = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < give_up:
        with connect(server) as connection:
            try:
                if is_served(connection):
                    return True
            except ConnectionError:
                pass
    return False


def test_limits_name_what_a_connection_has_to_keep_to(start: Start) -> None:
    """The settings appear in ``GET /api/v1/limits``."""
    with start(max_connections=7, header_seconds=8, body_seconds=9, idle_seconds=10, max_queue_bytes=11) as server:
        limits = server.request("GET", "/api/v1/limits").body
        names = ("max_connections", "max_header_seconds", "max_body_seconds", "max_idle_seconds", "max_queue_bytes")
        assert [limits[name] for name in names] == [7, 8, 9, 10, 11]


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Limit the open files of child processes to this number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SPARE_DESCRIPTORS, hard))
    yield SPARE_DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads the limits in /proc")
def test_descriptors_are_reserved_for_all_connections(serve: Serve, few_descriptors: int) -> None:
    """The soft limit of open files is raised as the connections need it."""
    with serve("--port", "0", "--max-connections", "10") as served:
        assert served.first_line
        limits = Path(f"/proc/{served.process.pid}/limits").read_text(encoding="ascii")
        (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
        assert int(line.split()[3]) == few_descriptors + 10


def test_more_connections_than_files_may_be_open_are_refused_at_the_start(tmp_path: Path) -> None:
    """The message says what is needed and what to set."""
    command = ["sh", "-c", f'ulimit -n {SPARE_DESCRIPTORS} && exec "$0" serve --port 0 --max-connections 10', RUNSINK]
    done = subprocess.run(
        command, cwd=tmp_path, env=own_environment({}), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert f"max-connections 10 needs {SPARE_DESCRIPTORS + 10} open files, but the limit is" in done.stderr
    assert "ulimit -n" in done.stderr


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("workers", 64),
        ("max_connections", 1_000_000),
        ("max_queue_bytes", 2**40),
        ("header_seconds", 86_400),
        ("body_seconds", 86_400),
        ("idle_seconds", 86_400),
        ("drain_seconds", 86_400),
    ],
)
def test_settings_are_at_least_one_and_have_a_maximum(name: str, most: int) -> None:
    """No setting accepts a value with which nothing would work."""
    for value in (1, most):
        assert getattr(Settings(**{name: value}), name) == value
    for value in (-1, 0, most + 1, 10**400):
        with pytest.raises(ValueError, match=rf"^{name.replace('_', '-')} must be from 1 to {most}, not {value}$"):
            Settings(**{name: value})


def test_errors_before_the_application_quote_nothing(server: Api) -> None:
    """The error is named, and no byte of the request is quoted: it may be a token."""
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer se\0cret\r\n\r\n")
        answer = read_to_end(connection)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert b"cret" not in answer
    assert b"Bearer" not in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["detail"].endswith("is malformed HTTP (RFC 9112)")


def test_unknown_expectation_is_json_everywhere(shared_server: Api) -> None:
    """An unsupported expectation on an unknown path gets JSON, too (RFC 9110, section 10.1.1)."""
    for path in ("/health", "/nowhere"):
        answer = shared_server.request("GET", path, headers={"Expect": "the unexpected"})
        assert answer.status == 417
        assert "xpect" in answer.body["detail"]


@pytest.mark.parametrize(("sent_as", "interim"), [(b"HTTP/1.1", True), (b"HTTP/1.0", False)])
def test_continue_is_not_said_to_http_1_0(
    shared_server: Api, make_run: MakeRun, sent_as: bytes, *, interim: bool
) -> None:
    """HTTP/1.0 has no interim responses, so the expectation is ignored (RFC 9110, section 10.1.1)."""
    body = json.dumps(make_run()).encode()
    head = POST_RUN.replace(b"HTTP/1.1", sent_as) + b"Connection: close\r\nExpect: 100-continue\r\n"
    with connect(shared_server) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        answer = read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n") is interim
    assert b" 201 Created\r\n" in answer


@pytest.mark.parametrize("ending", [b"junk\r\n", b"5\r\nab", b""])
def test_a_body_that_cannot_come_to_its_end_is_400_at_once(server: Api, ending: bytes) -> None:
    """A chunk that is malformed, or a client that sends no more: nobody waits for the deadline."""
    begun = time.monotonic()
    with connect(server) as client:
        client.sendall(POST_RUN + b"Transfer-Encoding: chunked\r\n\r\n")
        time.sleep(0.2)
        client.sendall(b"2\r\n{}\r\n" + ending)
        if ending != b"junk\r\n":
            client.shutdown(socket.SHUT_WR)
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"\r\nConnection: close" in head
    shown = json.loads(body)
    assert f"\r\nX-Request-ID: {shown.pop('request_id')}".encode() in head
    assert shown == {"detail": "the body is malformed HTTP (RFC 9112, section 7.1)"}
    assert time.monotonic() - begun < 10
