"""The configurations for reverse proxies, with the real programs where they are installed."""

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest

from core.model.limits import Limits
from entrypoints.settings import Settings
from tests.deploy.examples import DEFAULT_PORT, DEPLOY, ROOT, TOKENS
from tests.http_streams import NDJSON, STREAM
from tests.servers import DEADLINE_SECONDS, Api, MakeRun, Start

CADDYFILE = DEPLOY / "proxy" / "Caddyfile"
NGINX = (DEPLOY / "proxy" / "nginx.conf").read_text("utf-8")
CERTIFICATE = ROOT / "tests" / "adapters" / "api_client" / "localhost.pem"
TOKEN = TOKENS.split()[2]
SITE = "runs.example"
CADDY_WITH_FULL_DUPLEX = (2, 8)

needs_nginx = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is not installed, so its configuration is not tried"
)


def value(directive: str) -> str:
    """Return the value of a directive of nginx, where it is first set."""
    found = re.search(rf"^\s*{directive} (.+);$", NGINX, re.MULTILINE)
    assert found, directive
    return found[1]


def seconds(directive: str) -> int:
    """Return the value of a directive in seconds."""
    return int(value(directive).removesuffix("s"))


def test_limits_of_nginx_are_those_of_the_server() -> None:
    """It lets through what the server takes, waits for longer than the server, and lets go of connections before."""
    assert int(value("client_max_body_size").removesuffix("m")) * 1024**2 == Limits().max_body_bytes
    assert seconds("client_body_timeout") > Settings().body_seconds
    assert seconds("proxy_read_timeout") > max(Limits().max_read_seconds, Settings().body_seconds)
    assert seconds("keepalive_timeout") < Settings().idle_seconds


def test_proxies_reach_the_default_port() -> None:
    """Of this machine, and streams by the path that the server has for them."""
    assert f"server 127.0.0.1:{DEFAULT_PORT};" in NGINX
    assert f"{{$SERVERS:127.0.0.1:{DEFAULT_PORT}}}" in CADDYFILE.read_text("utf-8")
    assert f"location = {STREAM} {{" in NGINX


def test_caddy_lets_go_of_connections_before_the_server() -> None:
    """Otherwise it may send a request on a connection that is being closed."""
    kept = re.search(r"keepalive (\d+)s", CADDYFILE.read_text("utf-8"))
    assert kept
    assert int(kept[1]) < Settings().idle_seconds


def test_caddy_accepts_its_configuration() -> None:
    """Of the version that the file asks for, or a newer one."""
    if shutil.which("caddy") is None:
        pytest.skip("caddy is not installed, so its configuration is not tried")
    printed = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    version = tuple(map(int, re.findall(r"\d+", printed)[:2]))
    if version < CADDY_WITH_FULL_DUPLEX:
        pytest.skip(f"caddy {printed.split()[0]} has no enable_full_duplex, so its configuration is not tried")
    command = ["caddy", "adapt", "--config", CADDYFILE, "--validate"]
    validated = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)
    assert validated.returncode == 0, validated.stderr


@attrs.frozen
class Reply:
    """A response, by the server or by the proxy itself; ``None`` is a body that is not JSON."""

    status: int
    headers: Message
    body: Any


@attrs.frozen
class Nginx:
    """A running nginx, which listens on sockets in a directory: no port can be taken by somebody else."""

    directory: Path

    def connect(self, name: str = "tls") -> http.client.HTTPConnection:
        """Return a connection to the TLS listener, or to the one without."""
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(DEADLINE_SECONDS)
        link.connect(str(self.directory / name))
        if name == "tls":
            context = ssl.create_default_context(cafile=str(CERTIFICATE))
            context.check_hostname = False
            link = context.wrap_socket(link)
        connection = http.client.HTTPConnection(SITE)
        connection.sock = link
        return connection

    def send(self, method: str, path: str, document: object = None, name: str = "tls", **headers: str) -> Reply:
        """Send a document as JSON with the token; return the response."""
        named = {key.replace("_", "-"): text for key, text in headers.items()}
        sent = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **named}
        with closing(self.connect(name)) as connection:
            connection.request(method, path, None if document is None else json.dumps(document).encode(), sent)
            response = connection.getresponse()
            body = response.read()
            is_json = response.headers.get_content_type() == "application/json"
            return Reply(response.status, response.headers, json.loads(body) if is_json else None)


def site(directory: Path, api: Api, change: Callable[[str], str]) -> str:
    """Return our configuration with other listeners, another certificate and this server."""
    changed = re.sub(r"^\s*listen \[::\].*\n", "", change(NGINX), flags=re.MULTILINE)
    changed = changed.replace("listen 80;", f"listen unix:{directory}/plain;")
    changed = changed.replace("listen 443 ssl;", f"listen unix:{directory}/tls ssl;")
    changed = re.sub(r"(ssl_certificate(?:_key)?) .*;", rf"\1 {CERTIFICATE};", changed)
    return changed.replace(f"127.0.0.1:{DEFAULT_PORT}", urlsplit(api.url).netloc)


@contextmanager
def running_nginx(api: Api, change: Callable[[str], str] = lambda text: text) -> Iterator[Nginx]:
    """Run nginx with our configuration in front of a server, as one process of this user."""
    with tempfile.TemporaryDirectory(prefix="nginx-") as made:
        directory = Path(made)
        (directory / "site.conf").write_text(site(directory, api, change), "utf-8")
        temporary = "".join(
            f"{name}_temp_path {made}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (directory / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {made}/pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary} include {made}/site.conf; }}\n",
            "utf-8",
        )
        command = ["nginx", "-p", made, "-c", directory / "nginx.conf", "-e", "stderr"]
        checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "[warn]" not in checked.stderr
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_for_sockets(process, directory)
                yield Nginx(directory)
            finally:
                process.terminate()


def wait_for_sockets(process: "subprocess.Popen[str]", directory: Path) -> None:
    """Wait until nginx listens."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not all((directory / name).is_socket() for name in ("plain", "tls")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def with_tokens(start: Start, tmp_path: Path) -> Iterator[Api]:
    """Start a server that requires a token."""
    tokens = tmp_path / "tokens"
    tokens.write_text(TOKENS, "utf-8")
    tokens.chmod(0o600)
    with start(token_file=tokens) as api:
        yield api


@pytest.fixture
def nginx(with_tokens: Api) -> Iterator[Nginx]:
    """Run nginx in front of the server."""
    with running_nginx(with_tokens) as running:
        yield running


@needs_nginx
def test_requests_go_through_nginx(nginx: Nginx, make_run: MakeRun) -> None:
    """Uploads, lists, errors and health checks; nginx itself asks nobody for a token."""
    run = make_run()
    assert nginx.send("POST", "/api/v1/runs/batch", {"runs": [run, {}]}).status == 500
    assert nginx.send("GET", f"/api/v1/runs?event_id={run['event_id']}").body["total"] == 1
    assert nginx.send("GET", "/api/v1/runs", Authorization="Bearer unknown-0123456789").status == 401
    assert nginx.send("GET", "/health").body["status"] == "ok"


@needs_nginx
def test_pages_of_the_site_may_write_through_nginx(nginx: Nginx, make_run: MakeRun) -> None:
    """``Host`` arrives as it was sent, with its port, so that the server can compare it with ``Origin``."""
    for host in (SITE, f"{SITE}:8443"):
        own = nginx.send("POST", "/api/v1/runs", make_run(), Host=host, Origin=f"https://{host}")
        assert own.status == 201
    other = nginx.send("POST", "/api/v1/runs", make_run(), Host=f"{SITE}:8443", Origin=f"https://{SITE}")
    assert other.status == 403


@needs_nginx
def test_http_is_redirected(nginx: Nginx) -> None:
    """To the same path under TLS, with the method and the body kept."""
    answer = nginx.send("POST", "/api/v1/runs?x=1", {}, name="plain")
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{SITE}/api/v1/runs?x=1")


@needs_nginx
def test_progress_comes_through_nginx_while_a_stream_is_sent(nginx: Nginx, make_run: MakeRun) -> None:
    """Neither direction is held back: the next line is only sent when the one before was acknowledged."""

    def lines() -> Iterator[bytes]:
        for _ in range(3):
            yield json.dumps(make_run()).encode() + b"\n"

    with closing(nginx.connect()) as connection:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": NDJSON, "Accept": NDJSON}
        connection.putrequest("POST", STREAM)
        for name, text in {**headers, "Transfer-Encoding": "chunked"}.items():
            connection.putheader(name, text)
        connection.endheaders()
        response: Any = None
        for number, line in enumerate(lines(), 1):
            connection.send(b"%x\r\n%b\r\n" % (len(line), line))
            response = response or begun(connection)
            assert json.loads(response.readline())["last_line"] == number
        connection.send(b"0\r\n\r\n")
        assert json.loads(response.read())["total"] == 3


def begun(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Return the response to a request that is still being sent."""
    response = http.client.HTTPResponse(connection.sock, method="POST")
    response.begin()
    assert response.status == 200
    return response


@needs_nginx
def test_nginx_limits_bodies_but_not_streams(with_tokens: Api, make_run: MakeRun) -> None:
    """Shown at a limit of a kilobyte."""
    run = make_run(input_summary="x" * 2000)
    with running_nginx(with_tokens, lambda text: text.replace(" 16m;", " 1k;")) as nginx:
        assert nginx.send("POST", "/api/v1/runs/batch", {"runs": [run]}).status == 413
        assert nginx.send("POST", STREAM, run, Content_Type=NDJSON).body["total"] == 1
