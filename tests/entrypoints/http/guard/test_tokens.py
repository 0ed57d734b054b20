"""Bearer tokens: where they come from, who is admitted, and what the others are told."""

import http.client
import json
import logging
import re
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from entrypoints.http.guard.access import build_access
from entrypoints.http.guard.addresses import is_loopback
from entrypoints.http.guard.tokens import Keyring, Scope, TokensError, read_tokens
from entrypoints.settings import Settings
from tests.servers import POST_RUN, Answer, Api, Finish, MakeRun, Serve, Served, Start

READER = "reader-0123456789abcdef"
WRITER = "writer-0123456789abcdef"
OTHER = "other-0123456789abcdef=="
SERVED_LINES = f"grafana read {READER}\nnightly write {WRITER}\n"

WRITES: list[tuple[str, str, object]] = [
    ("POST", "/api/v1/runs/batch", {"runs": []}),
    ("POST", "/api/v1/runs/batch-transactional", {"runs": []}),
    ("POST", "/api/v1/runs/stream", {}),
    ("DELETE", "/api/v1/jobs/none", {}),
    ("POST", "/api/v1/runs", {}),
    ("PATCH", "/api/v1/runs/e", {}),
    ("POST", "/api/v1/runs/e/associate-commit", {}),
]
READS = [
    "/api/v1/runs",
    "/api/v1/runs/r",
    "/api/v1/jobs",
    "/api/v1/jobs/none",
    "/api/v1/export",
    "/api/v1/metadata",
    "/api/v1/limits",
    "/no/such/path",
]


@pytest.fixture
def token_file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a token file that only its owner may read."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "tokens.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def guarded(start: Start, token_file: Callable[[str], Path]) -> Any:
    """Start a server with a token to read and one to write."""
    with start(token_file=token_file(SERVED_LINES)) as api:
        yield api


def bearer(secret: str) -> dict[str, str]:
    """Return the header with this secret."""
    return {"Authorization": f"Bearer {secret}"}


def raw_statuses(api: Api, *lines: bytes) -> tuple[int, str]:
    """Return the status and the challenge of a list request with these raw header lines."""
    address = urlsplit(api.url)
    with closing(socket.create_connection((address.hostname, address.port), 30)) as connection:
        head = b"\r\n".join([b"GET /api/v1/runs HTTP/1.1", b"Host: localhost", b"Connection: close", *lines])
        connection.sendall(head + b"\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.headers.get("WWW-Authenticate", "")


def challenge(answer: Answer) -> str:
    """Return the only challenge of a response, which explains itself in JSON as well."""
    assert isinstance(answer.body["detail"], str)
    (value,) = answer.headers.get_all("WWW-Authenticate", [])
    return str(value)


def test_file_with_everything_that_a_line_may_be(token_file: Callable[[str | bytes], Path]) -> None:
    """Blank lines, comments, whitespace, CR LF and a byte order mark are not part of a token."""
    text = f"\ufeff# who\r\n\r\na  read\t{READER}  \r\n  # b\r\n b write {OTHER}\r\n"
    tokens = read_tokens(token_file(text), None)
    assert [(token.name, token.scope) for token in tokens] == [("a", Scope.READ), ("b", Scope.WRITE)]
    keyring = Keyring(lambda: tokens)
    assert [keyring.find(secret.encode()) for secret in (READER, OTHER, WRITER, "")] == [*tokens, None, None]


def test_tokens_of_both_sources(token_file: Callable[[str | bytes], Path]) -> None:
    """The file and the variable are combined; in the variable, commas separate the tokens."""
    tokens = read_tokens(token_file(f"a read {READER}"), f"b write {WRITER}, c read {OTHER},")
    assert [token.name for token in tokens] == ["a", "b", "c"]
    assert read_tokens(None, None) == ()


def test_secrets_are_not_kept(token_file: Callable[[str | bytes], Path]) -> None:
    """A token's repr shows neither its secret nor its digest."""
    (token,) = read_tokens(token_file(f"a read {READER}"), None)
    assert READER not in repr(token)
    assert "digest" not in repr(token)
    assert READER.encode() not in token.digest


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{WRITER}", "not 1 words"),
        (f"b {WRITER}", "not 2 words"),
        (f"b write {WRITER} more", "not 4 words"),
        (f"b admin {WRITER}", "the scope"),
        (f"{WRITER} b write", "the scope"),
        (f"b Write {WRITER}", "the scope"),
        ("b write secret-of-15-ch", "16 to 1024 characters, not 15"),
        (f"b write {'x' * 1025}", "16 to 1024 characters, not 1025"),
        (f"b write {WRITER}é", "may contain"),
        (f"b write {WRITER}\N{NO-BREAK SPACE}".replace("\N{NO-BREAK SPACE}", ","), "may contain"),
        (f"b write {WRITER}=x", "may contain"),
        (f"b write {WRITER}\x00", "may contain"),
        (f"a write {WRITER}", "must be unique"),
        (f"b write {READER}", "must be unique"),
    ],
)
def test_broken_line_is_named_without_its_secret(
    token_file: Callable[[str | bytes], Path], line: str, words: str
) -> None:
    """An invalid line is reported with file and line number, and nothing of it is quoted."""
    line = line.replace("secret-of-15-ch", WRITER[:15])
    path = token_file(f"# tokens\na read {READER}\n\n{line}\nc read {OTHER}\n")
    with pytest.raises(TokensError) as error:
        read_tokens(path, None)
    assert f"{path} line 4: " in str(error.value)
    assert words in str(error.value)
    assert not any(part in str(error.value) for part in (WRITER[:15], READER, OTHER))


def test_broken_bytes_are_named(token_file: Callable[[str | bytes], Path]) -> None:
    """A file that is not UTF-8 is reported with the invalid line."""
    with pytest.raises(TokensError, match=r"line 2: .* may contain"):
        read_tokens(token_file(f"a read {READER}\nb read {WRITER}".encode() + b"\xff\xfe"), None)


@pytest.mark.parametrize(("variable", "words"), [("", "no token"), (" , ", "no token"), ("a read x,b", "entry 1: ")])
def test_broken_variable(variable: str, words: str) -> None:
    """A variable without a token is an error, so that a lost secret does not let everybody in."""
    with pytest.raises(TokensError, match=f"RUNSINK_TOKENS.*{words}|{words}.*RUNSINK_TOKENS"):
        read_tokens(None, variable)


@pytest.mark.parametrize("text", ["", "\n\n", "# a read 0123456789abcdef\n"])
def test_file_without_tokens(token_file: Callable[[str | bytes], Path], text: str) -> None:
    """A file without a token is an error, since it would let everybody in."""
    with pytest.raises(TokensError, match=r"no token in .*tokens\.txt"):
        read_tokens(token_file(text), None)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o602, True)])
def test_file_open_to_every_user(
    token_file: Callable[[str | bytes], Path], caplog: pytest.LogCaptureFixture, mode: int, *, warned: bool
) -> None:
    """A file that every user can read is accepted, with a warning."""
    path = token_file(SERVED_LINES)
    path.chmod(mode)
    assert len(read_tokens(path, None)) == 2
    assert [(record.levelno, str(path) in record.getMessage()) for record in caplog.records] == (
        [(logging.WARNING, True)] if warned else []
    )


def test_reload(token_file: Callable[[str | bytes], Path], caplog: pytest.LogCaptureFixture) -> None:
    """Reloaded tokens take effect at once; a failed reload changes nothing, and the log says why without secrets."""
    path = token_file(f"a read {READER}")
    keyring = Keyring(lambda: read_tokens(path, None))
    token_file(f"b write {WRITER}")
    assert keyring.find(READER.encode())
    keyring.reload()
    assert keyring.find(READER.encode()) is None
    for broken in (f"b write {WRITER}\nc {OTHER}\n", "", None):
        path.unlink()
        if broken is not None:
            token_file(broken)
        keyring.reload()
        found = keyring.find(WRITER.encode())
        assert found is not None
        assert found.name == "b"
    messages = [record.getMessage() for record in caplog.records]
    assert [re.search(r"line 2|no token|No such file", message)[0] for message in messages] == [  # type: ignore[index]
        "line 2",
        "no token",
        "No such file",
    ]
    assert not any(secret in message for secret in (READER, WRITER, OTHER) for message in messages)


def test_reload_from_another_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is relative to the directory at the start, and a link is followed to its current target."""
    monkeypatch.chdir(tmp_path)
    for name, line in (("old", f"a read {READER}"), ("new", f"b read {OTHER}")):
        Path(name).write_text(line, encoding="ascii")
        Path(name).chmod(0o600)
    Path("tokens").symlink_to("old")
    keyring = build_access(Settings(token_file=Path("tokens"))).keyring
    assert keyring.find(READER.encode())
    Path("tokens").unlink()
    Path("tokens").symlink_to("new")
    monkeypatch.chdir("/")
    keyring.reload()
    assert keyring.find(READER.encode()) is None
    assert keyring.find(OTHER.encode())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_in_any_case(guarded: Api, scheme: str) -> None:
    """The name of the scheme may be written in any case (RFC 9110, section 11.1)."""
    assert guarded.request("GET", "/api/v1/runs", headers={"Authorization": f"{scheme} {READER}"}).status == 200


def test_what_each_scope_may(guarded: Api) -> None:
    """Reads accept either token, writes the one with the scope write; others are rejected before all else."""
    for path in READS:
        assert guarded.request("GET", path).status == 401
        assert guarded.request("GET", path, headers=bearer(READER)).status in (200, 404)
        assert guarded.request("GET", path, headers=bearer(WRITER)).status in (200, 404)
    for method, path, document in WRITES:
        assert guarded.send(method, path, document).status == 401
        refused = guarded.send(method, path, document, **bearer(READER))
        assert refused.status == 403
        assert "write" in refused.body["detail"]
        assert challenge(refused) == 'Bearer realm="runsink", error="insufficient_scope", scope="write"'
        assert guarded.send(method, path, document, **bearer(WRITER)).status in (400, 404, 422)


def test_nothing_is_stored_without_the_right_token(guarded: Api, make_run: MakeRun) -> None:
    """A run sent without a token, with an unknown one or one to read is not stored; with one to write it is."""
    run = make_run()
    statuses = [
        guarded.send("POST", "/api/v1/runs", run, **headers).status
        for headers in ({}, bearer(OTHER), bearer(READER), bearer(WRITER))
    ]
    assert statuses == [401, 401, 403, 201]
    listed = guarded.request("GET", "/api/v1/runs", headers=bearer(READER))
    assert listed.event_ids == [run["event_id"]]


def test_health_and_readiness_ask_for_no_token(guarded: Api) -> None:
    """Health and readiness need no token, and an unknown one is ignored."""
    for path in ("/health", "/ready"):
        for headers in ({}, bearer(READER), bearer(OTHER), {"Authorization": "Basic x"}):
            assert guarded.request("GET", path, headers=headers).status == 200


def test_challenge_says_what_was_wrong(guarded: Api) -> None:
    """Only a request with a token is told that it is unknown (RFC 6750, section 3.1)."""
    nothing = guarded.request("GET", "/api/v1/runs")
    other_scheme = guarded.request("GET", "/api/v1/runs", headers={"Authorization": f"Basic {READER}"})
    unknown = guarded.request("GET", "/api/v1/runs", headers=bearer(OTHER))
    assert [nothing.status, other_scheme.status, unknown.status] == [401, 401, 401]
    assert challenge(nothing) == challenge(other_scheme) == 'Bearer realm="runsink"'
    assert challenge(unknown) == 'Bearer realm="runsink", error="invalid_token"'
    assert nothing.body["detail"] == "a token is required: Authorization: Bearer <token>"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((b"Authorization: Bearer   %s  ",), 200),
        ((b"Authorization:\tBearer %s\t",), 200),
        ((b"Authorization: Bearer\t%s",), 401),
        ((b"Authorization: Bearer%s",), 401),
        ((b"Authorization: Bearer",), 401),
        ((b"Authorization: Bearer ",), 401),
        ((b"Authorization:",), 401),
        ((b"Authorization: %s",), 401),
        ((b"Authorization: Bearer %s %s",), 401),
        ((b"Authorization: Bearer %s,Bearer %s",), 401),
        ((b"Authorization: Bearer %s", b"Authorization: Bearer %s"), 401),
        ((b"Authorization: Bearer %s", b"Authorization: Basic eDp5"), 401),
        ((b"Authorization: Basic eDp5", b"Authorization: Bearer %s"), 401),
        ((b'Authorization: Bearer "%s"',), 401),
        ((b"Authorization: Bearer %s\xc3\xa9",), 401),
        ((b"Authorization: Bearer \xff%s",), 401),
        ((b"Authorization: Bearer \xed\xa0\x80",), 401),
        ((b"Authorization: B\xc3\xa9arer %s",), 401),
    ],
)
def test_forms_of_the_header(guarded: Api, lines: tuple[bytes, ...], status: int) -> None:
    """Exactly one token is accepted; whitespace around it does not matter, and anything else gets 401."""
    sent = [line.replace(b"%s", READER.encode()) for line in lines]
    answered, asked = raw_statuses(guarded, *sent)
    assert answered == status
    assert asked.startswith("" if status == 200 else 'Bearer realm="runsink"')


def test_upper_case_secret_is_another(guarded: Api) -> None:
    """The secret is compared exactly."""
    assert guarded.request("GET", "/api/v1/runs", headers=bearer(READER.upper())).status == 401


@pytest.mark.parametrize("expect", [b"", b"Expect: 100-continue\r\n"])
@pytest.mark.parametrize(("shown", "status"), [(OTHER, b"401 Unauthorized"), (READER, b"403 Forbidden")])
def test_token_is_judged_before_the_body_is_read(guarded: Api, expect: bytes, shown: str, status: bytes) -> None:
    """A client that may not write is told so before it sends a body, without 100 Continue."""
    address = urlsplit(guarded.url)
    to = (address.hostname, address.port)
    with closing(socket.create_connection(to, 30)) as connection, connection.makefile("rb") as answer:
        head = POST_RUN + b"Content-Length: 1000000\r\n%sAuthorization: Bearer %s\r\n\r\n"
        connection.sendall(head % (expect, shown.encode()))
        assert answer.readline() == b"HTTP/1.1 " + status + b"\r\n"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("localhost", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("", False),
        ("0.0.0.0", False),  # noqa: S104 - nobody listens there
        ("::", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("fe80::1", False),
    ],
)
def test_loopback(host: str, *, expected: bool) -> None:
    """Only addresses that this machine alone can reach are loopback; all addresses at once are not."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", ""])  # noqa: S104 - the server does not start
def test_open_address_takes_tokens_or_a_word(finish: Finish, tmp_path: Path, host: str) -> None:
    """Where other machines could connect, a server without tokens exits with one line that says what to set."""
    ended = finish("serve", "--port", "0", "--host", host)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert all(word in ended.stderr for word in (host, "token-file", "RUNSINK_TOKENS", "allow-anonymous"))
    assert list(tmp_path.iterdir()) == []


def test_open_address_with_tokens(finish: Finish) -> None:
    """With a token nothing else is needed: the server gets as far as listening on an address that is not ours."""
    ended = finish("serve", "--port", "0", "--host", "192.0.2.1", RUNSINK_TOKENS=f"a write {WRITER}")
    assert "cannot listen on 192.0.2.1" in ended.stderr


def test_host_without_an_address(finish: Finish, tmp_path: Path) -> None:
    """A host that cannot be resolved stops the start before a database is created."""
    ended = finish("serve", "--port", "0", "--host", "no such host")
    assert ended.stderr.startswith("runsink: cannot listen on no such host port 0: ")
    assert list(tmp_path.iterdir()) == []


def test_broken_file_ends_the_start(finish: Finish, tmp_path: Path, token_file: Callable[[str], Path]) -> None:
    """A token file that is invalid at the start stops it with one line with file and line number, and no database."""
    token_file(f"a read {READER}\nb {WRITER}\n")
    ended = finish("serve", "--port", "0", "--token-file", "tokens.txt")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "tokens.txt line 2: " in ended.stderr
    assert WRITER not in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.txt"]


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_missing_file_ends_the_start(finish: Finish, name: str) -> None:
    """A token file that cannot be read stops the start and is named."""
    ended = finish("serve", "--port", "0", "--token-file", name)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "token file" in ended.stderr


def test_tokens_by_environment(serve: Serve, make_run: MakeRun) -> None:
    """The variable may hold the tokens; the server process requires them."""
    with serve("--port", "0", RUNSINK_TOKENS=f"a read {READER},b write {WRITER}") as served:
        run = make_run()
        answers = [served.api.send("POST", "/api/v1/runs", run, **bearer(secret)) for secret in (READER, WRITER)]
        assert [answer.status for answer in answers] == [403, 201]


def wait_until(served: Served, secret: str, status: int) -> None:
    """Ask until the secret gets this response; a signal takes effect with a delay."""
    while served.api.request("GET", "/api/v1/runs", headers=bearer(secret)).status != status:
        assert served.process.poll() is None


def test_signal_reloads(serve: Serve, token_file: Callable[[str], Path]) -> None:
    """SIGHUP reloads the file while the server runs; an invalid one is logged and changes nothing."""
    with serve("--port", "0", "--token-file", str(token_file(f"a read {READER}"))) as served:
        assert served.api.request("GET", "/api/v1/runs", headers=bearer(READER)).status == 200
        token_file(f"a {WRITER}")
        served.process.send_signal(signal.SIGHUP)
        complaint = served.next_complaint()
        assert "tokens.txt line 1: " in complaint
        assert served.api.request("GET", "/api/v1/runs", headers=bearer(READER)).status == 200
        token_file(f"b read {OTHER}")
        served.process.send_signal(signal.SIGHUP)
        wait_until(served, READER, 401)
        assert served.api.request("GET", "/api/v1/runs", headers=bearer(OTHER)).status == 200


def test_signal_without_tokens(serve: Serve, make_run: MakeRun) -> None:
    """SIGHUP does not stop a server that has no tokens."""
    with serve("--port", "0") as served:
        assert served.first_line
        served.process.send_signal(signal.SIGHUP)
        assert served.api.create(make_run()).status == 201
        assert served.end() == (0, "")


def test_tokens_are_ignored_where_none_are_asked(server: Api, make_run: MakeRun) -> None:
    """A client that sends a token to a server without any is served."""
    assert server.send("POST", "/api/v1/runs", make_run(), **bearer(OTHER)).status == 201
    assert json.dumps(server.find().body).count("event_id") == 1
