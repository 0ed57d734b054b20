"""``runsink healthcheck``: whether a server takes runs, as a container runtime asks."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import attrs
import pytest

from entrypoints.settings import Settings
from tests.entrypoints.cli.conftest import Disturb, StreamingServer
from tests.fakes.unreliable_proxy import Respond, response
from tests.launcher import Command
from tests.servers import DEADLINE_SECONDS, RUNSINK, Finish, Serve, own_environment, running_server


def port_of(url: str) -> str:
    """The port of a server."""
    return str(urlsplit(url).port)


def test_ready(finish: Finish, streaming_server: StreamingServer) -> None:
    """A server that takes runs is 0."""
    ended = finish("healthcheck", "--url", streaming_server.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"{streaming_server.url} is ready\n", "")
    ended = finish("healthcheck", "--json", "--url", f"{streaming_server.url}/")
    assert json.loads(ended.stdout) == {
        "url": f"{streaming_server.url}/",
        "ready": True,
        "status": 200,
        "detail": None,
    }


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost", ""])  # noqa: S104 - what is asked is loopback
def test_settings_in_force_name_the_server(
    finish: Finish, streaming_server: StreamingServer, tmp_path: Path, host: str
) -> None:
    """The host from a file, the port from a variable; all addresses of a machine include loopback."""
    (tmp_path / "runsink.toml").write_text(f'[runsink]\nhost = "{host}"\n')
    ended = finish("healthcheck", RUNSINK_PORT=port_of(streaming_server.url), RUNSINK_URL="http://127.0.0.1:1")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_own_server_accepts_the_host(finish: Finish, tmp_path: Path) -> None:
    """Also if only other names are allowed."""
    settings = Settings(port=0, db=str(tmp_path / "runs.db"), allow_anonymous=True, allowed_hosts="runs.example")
    with running_server(settings) as api:
        assert finish("healthcheck", RUNSINK_PORT=port_of(api.url)).returncode == 0


def test_host_is_loopback_whatever_the_address(finish: Finish) -> None:
    """The server may listen on an address that is not among the hosts that it accepts."""
    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def respond() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = Thread(target=respond)
        thread.start()
        ended = finish("healthcheck", RUNSINK_PORT=str(listener.getsockname()[1]))
        thread.join()
    assert ended.returncode == 0
    assert b"\r\nHost: localhost\r\n" in heads[0]
    assert heads[0].startswith(b"GET /ready HTTP/1.1\r\n")


def test_address_of_version_6(finish: Finish) -> None:
    """It is put in brackets, and the unspecified one is loopback."""
    ended = finish("healthcheck", "--json", RUNSINK_HOST="::", RUNSINK_PORT="1")
    assert json.loads(ended.stdout)["url"] == "http://[::1]:1"


@pytest.mark.parametrize(
    ("responded", "status", "told"),
    [
        (response(503, b'{"detail": "the disk is full"}'), 1, "is not ready: the disk is full"),
        (response(429, b'{"detail": "too many"}'), 75, "is not ready: too many"),
        (response(404, b""), 1, "is not ready: it responded 404"),
        (response(200, b"x" * 100_000), 1, "more than 65536 bytes"),
    ],
)
def test_not_ready(finish: Finish, disturb: Disturb, responded: Respond, status: int, told: str) -> None:
    """The reason is that of the server."""
    with disturb(responded, responded) as proxy:
        ended = finish("healthcheck", "--url", proxy.url)
        assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (status, "", 1)
        assert told in ended.stderr
        ended = finish("healthcheck", "--json", "--url", proxy.url)
        assert ended.returncode == status
        assert told in json.loads(ended.stdout)["detail"]


def test_unreachable(finish: Finish) -> None:
    """Nobody listens, which is 75."""
    ended = finish("healthcheck", "--url", "http://127.0.0.1:1")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (75, "", 1)
    assert "cannot reach http://127.0.0.1:1" in ended.stderr
    assert json.loads(finish("healthcheck", "--json", "--url", "http://127.0.0.1:1").stdout)["status"] is None


@attrs.frozen
class DrippingServer:
    """A server that sends a byte now and then, and never comes to an end."""

    url: str
    is_asked: Event


@pytest.fixture
def dripping_server() -> Iterator[DrippingServer]:
    """A server for one request."""
    is_asked = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                is_asked.set()
                connection.settimeout(0.1)
                try:
                    while True:
                        connection.sendall(b"H")
                        _wait_for_end(connection)
                except OSError:
                    return

        thread = Thread(target=drip)
        thread.start()
        yield DrippingServer(f"http://127.0.0.1:{listener.getsockname()[1]}", is_asked)
        thread.join()


def _wait_for_end(connection: socket.socket) -> None:
    """Wait for the other end to close for a tenth of a second; raise ``OSError`` if it does."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return
    raise ConnectionError


def test_slow_server_is_given_up(finish: Finish, dripping_server: DrippingServer) -> None:
    """The time for the whole response is bounded, not only that between two bytes."""
    ended = finish("healthcheck", "--url", dripping_server.url)
    assert ended.returncode == 75
    assert "did not respond within 5 s" in ended.stderr


def test_interrupt(dripping_server: DrippingServer) -> None:
    """Ctrl-C ends a command with 130 and one line."""
    with Command(
        [RUNSINK, "healthcheck", "--url", dripping_server.url], env=own_environment({}), stderr=subprocess.PIPE
    ) as command:
        assert dripping_server.is_asked.wait(DEADLINE_SECONDS)
        command.send_signal(signal.SIGINT)
        _, complaints = command.communicate(timeout=DEADLINE_SECONDS)
    assert (command.returncode, complaints) == (130, "runsink: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "variables", "told"),
    [
        (["--url", "ftp://x"], {}, "neither http nor https"),
        ([], {"RUNSINK_PORT": "0"}, "name the server with --url"),
        ([], {"RUNSINK_PORT": "x"}, "RUNSINK_PORT: port must be a whole number"),
    ],
)
def test_wrong_usage(finish: Finish, arguments: list[str], variables: dict[str, str], told: str) -> None:
    """A server that cannot be named is 2."""
    ended = finish("healthcheck", *arguments, **variables)
    assert ended.returncode == 2
    assert told in ended.stderr


def test_a_url_needs_no_configuration(finish: Finish, serve: Serve) -> None:
    """What is wrong with the settings of another server does not matter."""
    with serve("--port", "0") as served:
        assert finish("healthcheck", "--url", served.api.url, RUNSINK_PORT="x").returncode == 0
