"""Pages in browsers: what those of other sites may do, which hosts the server accepts, and who may read responses."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from entrypoints.authorities import parse_hosts, parse_origins
from tests.servers import DEADLINE_SECONDS, POST_RUN, Answer, Api, MakeRun, Serve, Start

APP = "https://app.example"
EVIL = "https://evil.example"
TOKEN = "writer-0123456789abcdef"
EXPOSED = "ETag, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, X-Request-ID"

WRITES = [
    ("POST", "/api/v1/runs/batch"),
    ("POST", "/api/v1/runs/batch-transactional"),
    ("POST", "/api/v1/runs"),
    ("PATCH", "/api/v1/runs/e"),
    ("POST", "/api/v1/runs/e/associate-commit"),
    ("PUT", "/api/v1/runs/e"),
    ("DELETE", "/api/v1/runs/e"),
    ("POST", "/no/such/path"),
]
READS = ["/health", "/ready", "/api/v1/runs", "/api/v1/metadata", "/api/v1/limits", "/no/such/path"]

# What a page of another site can make a browser send, and attempts to pass for another origin.
FOREIGN = [
    {"Origin": EVIL},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "127.0.0.1:{port}"},
    {"Origin": "ftp://127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1:{port}/"},
    {"Origin": "http://127.0.0.1:{port}@evil.example"},
    {"Origin": "http://127.0.0.1:{port} https://evil.example"},
    {"Origin": "http://127.0.0.1.evil.example:{port}"},
    {"Origin": "http://\xe9vil.example\xff"},
    {"Origin": "http://[::1:{port}"},
    {"Origin": "http://[:::::]:{port}"},
    {"Origin": "http://127.0.0.1:999999"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:{port}"},
    {"Sec-Fetch-Site": "same-origin", "Origin": EVIL},
]

LOOPBACK = ["localhost", "LOCALHOST:1", "app.localhost", "127.0.0.1", "127.9.9.9:80", "[::1]:8765", "[::ffff:7f00:1]"]
ELSEWHERE = [
    "evil.example",
    "evil.example:8765",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "evillocalhost",
    "192.0.2.1",
    "0.0.0.0",  # noqa: S104 - nobody listens there
    "[::]",
    "[::ffff:192.0.2.1]",
    "[::1",
    "localhost:99999",
    "localhost:x",
    "evil.example@localhost",
    "localhost, evil.example",
    "\xff",
    "",
]


@pytest.fixture
def open_to_app(start: Start) -> Iterator[Api]:
    """Start a server that two other origins may use."""
    with start(allowed_origins=f"{APP}, http://localhost:3000") as api:
        yield api


def filled(api: Api, headers: dict[str, str]) -> dict[str, str]:
    """Return the headers, with the server's port filled in where it is left open."""
    return {name: text.replace("{port}", str(urlsplit(api.url).port)) for name, text in headers.items()}


def raw_status(api: Api, head: bytes, body: bytes = b"") -> int:
    """Return the status of the response to these bytes."""
    address = urlsplit(api.url)
    to = (address.hostname, address.port)
    with closing(socket.create_connection(to, DEADLINE_SECONDS)) as connection, connection.makefile("rb") as answer:
        connection.sendall(head + b"\r\n\r\n" + body)
        return int(answer.readline().split()[1])


def cors(answer: Answer) -> dict[str, str]:
    """Return everything in a response about pages of other origins."""
    return {name: text for name, text in answer.headers.items() if name.startswith("Access-Control-")}


def assert_readable_by(origin: str, answer: Answer) -> None:
    """A listed origin's page may read the response and the API's header fields, and no cache shares it with others."""
    assert cors(answer) == {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED}
    assert "Origin" in answer.headers.get_all("Vary", [])


def preflight(api: Api, origin: str, path: str = "/api/v1/runs/batch") -> Answer:
    """The preflight of a browser before it sends JSON or a token for a page of another site."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return api.request("OPTIONS", path, headers={"Origin": origin, "Sec-Fetch-Site": "cross-site", **asked})


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_page_of_another_origin_changes_nothing(shared_server: Api, make_run: MakeRun, headers: dict[str, str]) -> None:
    """Whatever such a page sends gets 403 on every path that writes, whatever else is wrong with it."""
    run = make_run()
    for method, path in WRITES:
        answer = shared_server.send(method, path, {"runs": [run]}, **filled(shared_server, headers))
        assert (answer.status, cors(answer)) == (403, {})
        assert "allowed-origins" in answer.body["detail"]
    assert shared_server.send("POST", "/api/v1/runs", run, **filled(shared_server, headers)).status == 403
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 0


def test_body_without_a_type_from_a_page_is_403(shared_server: Api, make_run: MakeRun) -> None:
    """An untyped Blob sent by ``fetch`` with ``no-cors``, without a preflight, stores nothing."""
    run = make_run()
    headers = {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    answer = shared_server.request("POST", "/api/v1/runs", json.dumps(run).encode(), headers)
    assert (answer.status, answer.body) == (
        403,
        {
            "detail": "cross-origin writes are rejected unless allowed-origins lists the origin "
            "(Origin 'https://evil.example')"
        },
    )
    assert shared_server.find(event_id=run["event_id"]).body["total"] == 0


def test_several_origins_are_403(open_to_app: Api) -> None:
    """Two ``Origin`` headers are rejected, even if both are the server's own or allowed."""
    own = open_to_app.url.encode()
    for origin in (own, APP.encode()):
        head = POST_RUN + b"Content-Length: 2\r\nOrigin: %s\r\nOrigin: %s" % (origin, origin)
        assert raw_status(open_to_app, head.replace(b"localhost", urlsplit(own).netloc), b"{}") == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("127.0.0.1:8765", "https://127.0.0.1:8765"),
        ("LocalHost:8765", "HTTP://LOCALhost:8765"),
        ("localhost", "http://localhost"),
        ("localhost", "https://localhost"),
        ("localhost", "https://localhost:443"),
        ("localhost:443", "https://localhost"),
        ("localhost:80", "http://localhost"),
        ("[::1]:8765", "http://[0:0:0:0:0:0:0:1]:8765"),
    ],
)
def test_own_page_may_write(shared_server: Api, make_run: MakeRun, host: str, origin: str) -> None:
    """A page from the host and port of ``Host``, be it through a proxy that ends TLS, works as without a browser."""
    headers = {"Host": host, "Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert shared_server.send("POST", "/api/v1/runs", make_run(), **headers).status == 201


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
def test_others_notice_nothing(shared_server: Api, make_run: MakeRun, headers: dict[str, str]) -> None:
    """A client that is not a browser sends neither header; for a user's own request the browser sends ``none``."""
    assert shared_server.send("POST", "/api/v1/runs", make_run(), **headers).status == 201


@pytest.mark.parametrize("path", READS)
def test_no_answer_is_for_a_page_of_another_origin(shared_server: Api, path: str) -> None:
    """A read needs no permission, since the browser hides the response from the page, and no header says otherwise."""
    answer = shared_server.request("GET", path, headers={"Origin": EVIL, "Sec-Fetch-Site": "cross-site"})
    assert answer.status == (404 if path == "/no/such/path" else 200)
    assert (cors(answer), "Origin" in answer.headers.get_all("Vary", [])) == ({}, False)
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_allowed_origin_reads_and_writes(open_to_app: Api, make_run: MakeRun, origin: str, site: str) -> None:
    """A page of a listed origin is always of another site, and works."""
    headers = {"Origin": origin, "Sec-Fetch-Site": site}
    run = make_run()
    written = open_to_app.send("POST", "/api/v1/runs", run, **headers)
    read = open_to_app.request("GET", f"/api/v1/runs?event_id={run['event_id']}", headers=headers)
    assert (written.status, read.status, read.event_ids) == (201, 200, [run["event_id"]])
    for answer in (written, read):
        assert_readable_by(origin, answer)


@pytest.mark.parametrize(
    "origin", [EVIL, "http://app.example", "https://app.example:8443", "https://x.app.example", "null"]
)
def test_allowed_origins_are_only_these(open_to_app: Api, origin: str) -> None:
    """Scheme, host and port count; other origins are allowed nothing, and ``Vary`` says so to caches."""
    assert open_to_app.send("POST", "/api/v1/runs", {}, Origin=origin).status == 403
    for method, answer in (
        ("GET", open_to_app.request("GET", "/health", headers={"Origin": origin})),
        ("OPTIONS", preflight(open_to_app, origin)),
    ):
        assert answer.status == {"GET": 200, "OPTIONS": 405}[method]
        assert (cors(answer), answer.headers["Vary"]) == ({}, "Origin")


def test_compressed_answer_varies_with_both(open_to_app: Api, make_run: MakeRun) -> None:
    """A large response varies by accepted coding and by origin."""
    answer = open_to_app.send("POST", "/api/v1/runs/batch", {"runs": [make_run() for _ in range(10)]}, Origin=APP)
    assert answer.headers.get_all("Vary") == ["Accept-Encoding", "Origin"]


def test_preflight(open_to_app: Api) -> None:
    """An allowed origin gets the methods and header fields of the API, on any path; nothing else gets 204."""
    for path in ("/api/v1/runs/batch", "/api/v1/runs/e", "/health", "/no/such/path"):
        answer = preflight(open_to_app, APP, path)
        assert (answer.status, answer.body) == (204, None)
        assert cors(answer) == {
            "Access-Control-Allow-Origin": APP,
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type, "
            "If-None-Match, Prefer, X-Request-ID",
            "Access-Control-Expose-Headers": EXPOSED,
        }
    assert open_to_app.request("OPTIONS", "/api/v1/runs", headers={"Origin": APP}).status == 405


def test_errors_are_for_allowed_origins_too(start: Start, make_run: MakeRun) -> None:
    """A page of a listed origin can read why its request failed, whatever rejected it."""
    with start(allowed_origins=APP, rate_requests="5/hour") as server:
        answers = [
            server.send("POST", "/api/v1/runs/batch", {"runs": [make_run(), {}]}, Origin=APP),
            server.send("POST", "/api/v1/runs", {}, Origin=APP, Content_Type="text/plain"),
            server.send("POST", "/api/v1/runs", b"{", Origin=APP),
            server.send("DELETE", "/api/v1/runs/x", {}, Origin=APP),
            server.send("GET", "/no/such/path", None, Origin=APP),
            server.send("GET", "/api/v1/runs", None, Origin=APP),
            server.send("GET", "/health", None, Origin=APP, Host="evil.example"),
        ]
    assert [answer.status for answer in answers] == [500, 415, 400, 405, 404, 429, 421]
    for answer in answers:
        assert_readable_by(APP, answer)


def test_tokens_and_pages(serve: Serve, make_run: MakeRun) -> None:
    """A preflight needs neither token nor quota; the request that follows needs its token."""
    tokens = f"app write {TOKEN}, grafana read reader-0123456789abcdef"
    with serve("--port=0", f"--allowed-origins={APP}", "--rate-requests=3/hour", RUNSINK_TOKENS=tokens) as served:
        api = served.api
        assert [preflight(api, APP).status for _ in range(5)] == [204] * 5
        answers = [
            api.send("POST", "/api/v1/runs", make_run(), Origin=APP, **shown)
            for shown in (
                {},
                {"Authorization": "Bearer reader-0123456789abcdef"},
                {"Authorization": f"Bearer {TOKEN}"},
            )
        ]
        assert [answer.status for answer in answers] == [401, 403, 201]
        for answer in answers:
            assert_readable_by(APP, answer)
        assert preflight(api, EVIL).status == 401
        refused = api.send("POST", "/api/v1/runs", make_run(), Origin=EVIL, Authorization=f"Bearer {TOKEN}")
        assert (refused.status, cors(refused)) == (403, {})


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_hosts(shared_server: Api, host: str) -> None:
    """Names that DNS cannot point elsewhere are this machine's, with any port."""
    assert shared_server.request("GET", "/health", headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", ELSEWHERE, ids=ascii)
def test_other_hosts_are_421(shared_server: Api, host: str) -> None:
    """A name that somebody else could point at this address neither reads nor writes, on any path (DNS rebinding)."""
    for method, path in [*(("GET", path) for path in READS), ("HEAD", "/health"), *WRITES]:
        answer = shared_server.request(method, path, headers={"Host": host, "Origin": f"http://{host}"})
        assert (answer.status, cors(answer)) == (421, {})
        assert method == "HEAD" or "allowed-hosts" in answer.body["detail"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET http://localhost:1/health HTTP/1.1\r\nHost: localhost", 200),
        (b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost", 421),
        (b"GET HTTP://evil.example/health HTTP/1.1\r\nHost: localhost", 421),
        (b"GET http://localhost@evil.example/health HTTP/1.1\r\nHost: localhost", 421),
        (b"GET http://localhost/health HTTP/1.1\r\nHost: evil.example", 421),
        (b"GET //evil.example/health HTTP/1.1\r\nHost: localhost", 404),
        (b"GET /health HTTP/1.0", 200),
        (b"GET /health HTTP/1.0\r\nHost: localhost", 200),
        (b"GET /health HTTP/1.0\r\nHost: evil.example", 421),
        (b"GET http://evil.example/health HTTP/1.0", 421),
        (b"POST /health HTTP/1.0\r\nOrigin: http://localhost", 403),
    ],
)
def test_other_ways_to_name_the_host(shared_server: Api, head: bytes, status: int) -> None:
    """An absolute-form target counts too; a client that sends neither speaks HTTP/1.0 and is no browser."""
    assert raw_status(shared_server, head) == status


def test_allowed_hosts(start: Start) -> None:
    """A listed host is served, on every port or on the listed one; loopback still works."""
    with start(allowed_hosts="Runs.example, tls.example:443,[FD00:0::7]:8765 , 192.0.2.1") as server:
        for host, status in {
            "runs.example": 200,
            "RUNS.EXAMPLE:1": 200,
            "x.runs.example": 421,
            "tls.example": 200,
            "tls.example:443": 200,
            "tls.example:444": 421,
            "[fd00::7]:8765": 200,
            "[fd00::7]": 421,
            "192.0.2.1:8765": 200,
            "localhost": 200,
            "evil.example": 421,
        }.items():
            assert server.request("GET", "/health", headers={"Host": host}).status == status, host


@pytest.mark.parametrize(("hosts", "status"), [(None, 200), ("", 200), ("runs.example", 421)])
def test_anonymous_server_takes_any_host(start: Start, hosts: str | None, status: int) -> None:
    """A server open to everybody without ``allowed-hosts`` accepts every host."""
    with start(allow_anonymous=True, allowed_hosts=hosts) as server:
        assert server.request("GET", "/api/v1/runs", headers={"Host": "any.example"}).status == status


def test_tokens_take_the_place_of_hosts(start: Start, tmp_path: Path) -> None:
    """A page that reaches a server with tokens by another name has no token."""
    file = tmp_path / "tokens.txt"
    file.write_text(f"app write {TOKEN}\n")
    file.chmod(0o600)
    with start(token_file=file, allowed_hosts="runs.example") as server:
        headers = {"Host": "any.example", "Authorization": f"Bearer {TOKEN}"}
        assert server.request("GET", "/api/v1/runs", headers=headers).status == 200
        assert server.request("GET", "/api/v1/runs", headers={"Host": "any.example"}).status == 401


def test_settings_from_the_file_and_the_environment(serve: Serve, tmp_path: Path) -> None:
    """Both settings are lists separated by commas, from every source."""
    (tmp_path / "runsink.toml").write_text(f'[runsink]\nallowed-origins = "http://a.example,{APP}"\n')
    with serve("--port", "0", RUNSINK_ALLOWED_HOSTS="a.example,runs.example") as served:
        answer = served.api.request("GET", "/health", headers={"Host": "runs.example", "Origin": APP})
        assert answer.status == 200
        assert_readable_by(APP, answer)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "null",
        "app.example",
        "//app.example",
        "https://",
        "https://*.example",
        "https://app.example/",
        "https://app.example:",
        "https://app.example:65536",
        "https://user@app.example",
        "https://[::1",
        "https://[1::2::3]",
        "https://a.example https://b.example",
        "https://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
    ],
)
def test_what_is_no_origin(entry: str) -> None:
    """An entry that no browser would send, such as the wildcard, is rejected with what would be valid."""
    with pytest.raises(ValueError, match=r"allowed-origins must be .*; \* is not accepted, so list") as error:
        parse_origins(f"{APP},{entry}")
    assert repr(entry) in str(error.value)


@pytest.mark.parametrize("entry", ["*", "*.example", "http://runs.example", "runs.example/", "runs.example:x", "::1"])
def test_what_is_no_host(entry: str) -> None:
    """An entry that is invalid in ``Host`` is rejected with what would be valid."""
    with pytest.raises(ValueError, match=r"allowed-hosts must be names or addresses") as error:
        parse_hosts(f"runs.example,{entry}")
    assert repr(entry) in str(error.value)
