"""The log of a server: one line for each event, whatever becomes of its reader, and nothing of what clients sent."""

import http.client
import json
import logging
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apsw
import pytest

from core.errors import StoreError
from entrypoints.http.messages.request_log import SLOW_SECONDS
from entrypoints.logs import FIELDS, LineHandler, dropped_lines, log_loop_error, logging_in_worker, logging_to_stderr
from entrypoints.settings import Settings
from tests.jobs import lines, sent_run
from tests.launcher import Command
from tests.logs import lines_of
from tests.servers import DEADLINE_SECONDS, POST_RUN, RUNSINK, Api, MakeRun, Serve, Served, own_environment

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "logging.md"
CANARY = "canary-in-the-log"
TOKEN = f"{CANARY}-token-0123456789"


@contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Log to a file from this process, as a server does to stderr."""
    with file.open("w") as stream, pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.stderr", stream)
        # A server ends its process afterwards; this one has other tests, whose lines are at the levels of before.
        levels = {logger: logger.level for logger in (logging.getLogger(), logging.getLogger("runsink"))}
        try:
            with logging_to_stderr(Settings()):
                yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)


def requests_of(served: Served) -> Sequence[Mapping[str, Any]]:
    """Return the lines of requests, of a process that has ended."""
    return [line for line in lines_of(served.log) if line["logger"] == "runsink.requests"]


def is_slow(line: Mapping[str, Any]) -> bool:
    """Return whether a line is there, or at ``info``, because a request took long: on a busy machine any may."""
    return line["event"] == "request" and line["duration_ms"] >= 1000 * SLOW_SECONDS


def events_of(served: Served) -> Sequence[str]:
    """Return what a process that has ended has logged, but for requests."""
    return [line["event"] for line in lines_of(served.log) if line["logger"] == "runsink"]


def test_lines_of_a_server_at_info(serve: Serve, make_run: MakeRun) -> None:
    """It says that it started, on what, that it stopped, and which requests failed; nothing of those that succeed."""
    with serve("--port", "0") as served:
        assert served.api.create(make_run()).status == 201
        assert served.api.create({}).status == 422
        assert served.api.get("none").status == 404
        assert served.end() == (0, "")
    quick = (line for line in lines_of(served.log) if not is_slow(line))
    migrated, listening, invalid, unknown, draining, stopped = quick
    assert migrated["event"] == "migrated the database from schema version 0 to 1"
    assert listening["event"] == "listening"
    assert (listening["url"], listening["database"], listening["workers"]) == (served.api.url, "./runsink.db", 1)
    assert draining["event"].startswith("draining")
    assert stopped["event"] == "stopped"
    assert [(line["event"], line["status"]) for line in (invalid, unknown)] == [
        ("request failed", 422),
        ("request failed", 404),
    ]
    for line in (migrated, listening, draining, stopped):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["timestamp"])
        assert (line["level"], line["logger"], line["pid"]) == ("info", "runsink", served.process.pid)


def test_a_line_for_each_request_at_debug(serve: Serve, make_run: MakeRun) -> None:
    """With the route and not the path, what it cost, and who sent it."""
    body = json.dumps(make_run(run_id=CANARY)).encode()
    with serve("--port", "0", "--log-level", "debug", RUNSINK_TOKENS=f"shipper write {TOKEN}") as served:
        sent = {"Authorization": f"Bearer {TOKEN}", "X-Request-ID": "from-the-client"}
        typed = {"Content-Type": "application/json"}
        assert served.api.request("POST", "/api/v1/runs", body, sent | typed).status == 201
        assert served.api.request("GET", f"/api/v1/runs/{CANARY}?{CANARY}=1", headers=sent).status == 200
        assert served.api.request("GET", "/api/v1/runs").status == 401
        assert served.api.request("PROPFIND", f"/{CANARY}", headers=sent).status == 404
        assert served.end() == (0, "")
    created, read, denied, unknown = requests_of(served)
    assert created["event"] == read["event"] == "request"
    assert denied["event"] == unknown["event"] == "request failed"
    expected = ["info" if is_slow(line) else "debug" for line in (created, read)]
    assert [line["level"] for line in (created, read, denied, unknown)] == [*expected, "info", "info"]
    assert [line["status"] for line in (created, read, denied, unknown)] == [201, 200, 401, 404]
    assert [line["method"] for line in (created, read, denied, unknown)] == ["POST", "GET", "GET", "other"]
    assert [line.get("route") for line in (created, read, denied, unknown)] == [
        "/api/v1/runs",
        "/api/v1/runs/{run_id}",
        "/api/v1/runs",
        None,
    ]
    assert [line["client"] for line in (created, read, denied)] == ["shipper", "shipper", "127.0.0.1"]
    assert created["request_id"] == "from-the-client"
    assert (created["bytes_in"], read["bytes_in"]) == (len(body), 0)
    assert read["bytes_out"] > len(body)
    assert 0 <= created["duration_ms"] < 1000 * DEADLINE_SECONDS


def test_request_ids(server: Api) -> None:
    """A sane id is taken over; any other is replaced by one that no other request has."""
    longest = "aZ09._~+/=-" + "a" * 117
    taken = [server.request("GET", "/health", headers={"X-Request-ID": given}) for given in ("1", longest)]
    assert [answer.headers["X-Request-ID"] for answer in taken] == ["1", longest]
    replaced = [
        server.request("GET", "/health", headers={"X-Request-ID": given}).headers["X-Request-ID"]
        for given in ("", "a" * 129, "a b", "ä".encode().decode("latin-1"), '"a"', "a,b")
    ]
    assert len(set(replaced)) == 6
    assert all(re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]+", request_id) for request_id in replaced)


def test_requests_of_one_connection_have_ids_of_their_own(server: Api) -> None:
    """Pipelined requests too: each response has the id of its own request."""
    address = urlsplit(server.url)
    heads = [f"GET /none/{n} HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: id-{n}\r\n\r\n" for n in range(5)]
    last = "GET /none HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: id-5\r\nConnection: close\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as link:
        link.sendall("".join([*heads, last]).encode())
        with link.makefile("rb") as stream:
            received = stream.read().decode()
    expected = [f"id-{number}" for number in range(6)]
    assert re.findall(r"X-Request-ID: (\S+)", received) == expected
    assert re.findall(r'"request_id":"([^"]+)"', received) == expected


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_a_request_causes_in_other_threads_has_its_id(serve: Serve, make_run: MakeRun, method: str) -> None:
    """A damaged page, found in the thread that reads or in the one that writes."""
    with serve("--port", "0") as served:
        assert served.api.create(make_run(event_id="first")).status == 201
        with closing(apsw.Connection(str(served.directory / "runsink.db"))) as other:
            other.execute(
                "ALTER TABLE tallies RENAME TO gone" if method == "POST" else "ALTER TABLE runs RENAME TO gone"
            )
        body = json.dumps(make_run()).encode() if method == "POST" else None
        answer = served.api.request(
            method, "/api/v1/runs", body, {"Content-Type": "application/json", "X-Request-ID": "the-cause"}
        )
        assert answer.status == 500
        status, complaints = served.end()
        assert (status, "internal error" in complaints) == (0, True)
    error, request = (line for line in lines_of(served.log) if line.get("request_id") == "the-cause")
    assert "no such table" not in error["exception"]
    assert error["exception"].splitlines()[-1] == "apsw.SQLError"
    assert (request["level"], request["status"], request["reason"]) == ("info", 500, answer.body["detail"])


def test_damage_does_not_show_what_is_damaged(serve: Serve, make_run: MakeRun) -> None:
    """A value that was never written may be a part of a run that got to the wrong place."""
    with serve("--port", "0") as served:
        assert served.api.create(make_run(run_id="r")).status == 201
        with closing(apsw.Connection(str(served.directory / "runsink.db"))) as other:
            other.execute("UPDATE runs SET status = ?", (CANARY,))
        answer = served.api.get("r")
        assert (answer.status, CANARY in answer.body["detail"]) == (500, False)
        reason = "a value in it was never written by runsink"
        assert served.end() == (0, f"the database is damaged: {reason}\n")


def test_slow_requests_are_logged(serve: Serve, make_run: MakeRun) -> None:
    """A request that waits for a lock, and succeeds in the end."""
    with serve("--port", "0") as served, closing(apsw.Connection(str(served.directory / "runsink.db"))) as other:
        assert served.api.request("GET", "/ready").status == 200
        other.execute("BEGIN IMMEDIATE")
        with closing(http.client.HTTPConnection(urlsplit(served.api.url).netloc, timeout=DEADLINE_SECONDS)) as waiting:
            waiting.request("POST", "/api/v1/runs", json.dumps(make_run()), {"Content-Type": "application/json"})
            time.sleep(SLOW_SECONDS + 0.5)
            other.execute("COMMIT")
            assert waiting.getresponse().status == 201
        assert served.end() == (0, "")
    (slow,) = (line for line in requests_of(served) if line["route"] == "/api/v1/runs")
    assert (slow["event"], slow["status"], slow["level"]) == ("request", 201, "info")
    assert slow["duration_ms"] >= 1000 * SLOW_SECONDS


@contextmanager
def serving_on(stderr: int, directory: Path, *options: str, **environment: str) -> Iterator[Served]:
    """Start a server whose stderr is this descriptor."""
    command: list[str | Path] = [RUNSINK, "serve", "--port", "0", *options]
    with Command(
        command, cwd=directory, env=own_environment(environment), stdout=subprocess.PIPE, stderr=stderr
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_that_stops_reading_stops_nothing(tmp_path: Path, workers: str) -> None:
    """Thousands of requests are answered while the pipe is full, SIGTERM ends with 0, and lines are whole."""
    reader, writer = os.pipe()
    with serving_on(writer, tmp_path, "--log-level", "debug", "--workers", workers) as served:
        address = urlsplit(served.api.url)
        heads = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200
        for _ in range(20):
            with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as link:
                link.sendall(heads + heads[:-2] + b"Connection: close\r\n\r\n")
                with link.makefile("rb") as received:
                    assert received.read().count(b"HTTP/1.1 200") == 400
        assert not select.select([], [writer], [], 0)[1]
        served.process.send_signal(signal.SIGTERM)
        served.process.communicate(timeout=DEADLINE_SECONDS)
        assert served.process.returncode == 0
    os.close(writer)
    with os.fdopen(reader) as stream:
        *whole, last = stream.read().splitlines(keepends=True)
    assert len(whole) > 100
    assert all(json.loads(line)["event"] for line in whole)
    assert last


def test_a_server_without_stderr(tmp_path: Path) -> None:
    """A closed one is no reason not to serve, nor to write into whatever has its number now."""
    script = f"exec {RUNSINK} serve --port 0 --log-level debug 2>&-"
    with subprocess.Popen(
        ["sh", "-c", script], cwd=tmp_path, env=own_environment({}), stdout=subprocess.PIPE, text=True
    ) as process:
        served = Served(process)
        assert served.api.request("GET", "/health").status == 200
        process.terminate()
        assert process.wait(DEADLINE_SECONDS) == 0
    assert not any(b'"event"' in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def on_terminal(directory: Path, *options: str, **environment: str) -> str:
    """Return what a server writes to a terminal that is its stderr."""
    ours, theirs = os.openpty()
    with serving_on(theirs, directory, *options, **environment) as served:
        assert served.api.request("GET", "/health").status == 200
        served.process.send_signal(signal.SIGTERM)
        served.process.communicate(timeout=DEADLINE_SECONDS)
        assert served.process.returncode == 0
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        while select.select([terminal], [], [], 0)[0]:
            try:
                shown += terminal.read(65536)
            except OSError:
                # So Linux says that nobody writes any more.
                break
    return shown.decode()


def test_a_terminal_shows_text_in_colour(tmp_path: Path) -> None:
    """Unless NO_COLOR says no, or JSON is asked for."""
    assert re.search(r"\x1b\[.*listening", on_terminal(tmp_path))
    plain = on_terminal(tmp_path, NO_COLOR="1")
    assert re.search(r"\[info *\] listening .*workers=1", plain)
    assert "\x1b" not in plain
    assert all(line["event"] for line in lines_of(on_terminal(tmp_path, "--log-format", "json")))


def test_text_elsewhere_has_no_colour(serve: Serve) -> None:
    """As in a file that somebody reads."""
    with serve("--port", "0", "--log-format", "text") as served:
        assert served.first_line
        served.process.send_signal(signal.SIGTERM)
        _, shown = served.process.communicate(timeout=DEADLINE_SECONDS)
    assert re.search(r"(?m)^\S+Z \[info *\] listening ", shown)
    assert "\x1b" not in shown


def test_the_level_is_the_least_that_is_logged(serve: Serve) -> None:
    """With ``error`` there is nothing to say of a server that works."""
    with serve("--port", "0", RUNSINK_LOG_LEVEL="error") as served:
        assert served.api.request("GET", "/health").status == 200
        assert (served.end(), served.log) == ((0, ""), "")


@pytest.mark.parametrize("level", ["trace", "INFO", "10"])
def test_unknown_levels_are_refused(finish: Any, level: str) -> None:
    """With the names that there are."""
    ended = finish("serve", "--log-level", level)
    text = f"runsink: --log-level: log-level must be debug, info, warning or error, not {level!r}\n"
    assert (ended.returncode, ended.stderr) == (2, text)


def test_workers_log_for_themselves(serve: Serve) -> None:
    """Each worker's lines have its pid, none is written twice, and the supervisor says which workers it started."""
    with serve("--port", "0", "--workers", "2") as served:
        assert served.api.request("GET", "/health").status == 200
        assert served.end() == (0, "")
    found = lines_of(served.log)
    started = {line["worker"] for line in found if line["event"] == "worker started"}
    assert len(started) == 2
    assert {line["pid"] for line in found if line["event"] == "stopped"} == started
    assert [line["pid"] for line in found if line["event"] == "listening"] == [served.process.pid]
    assert len({json.dumps(line) for line in found}) == len(found)


def test_jobs_and_reloads_are_logged(serve: Serve, tmp_path: Path) -> None:
    """What becomes of a job, and that new tokens are in force."""
    tokens = tmp_path / "tokens"
    tokens.write_text(f"a write {TOKEN}")
    tokens.chmod(0o600)
    with serve("--port", "0", "--token-file", str(tokens)) as served:
        asked = {"Authorization": f"Bearer {TOKEN}", "Prefer": "respond-async", "Content-Type": "application/x-ndjson"}
        body = lines([sent_run(f"{CANARY}-1"), {"event_id": CANARY}])
        job = served.api.request("POST", "/api/v1/runs/stream", body, asked).body["job_id"]
        while served.api.request("GET", f"/api/v1/jobs/{job}", headers=asked).body["state"] != "succeeded":
            time.sleep(0.02)
        served.process.send_signal(signal.SIGHUP)
        complaint = served.process.stderr
        assert complaint is not None
        seen = ""
        while "tokens reloaded: 1 in force" not in seen:
            seen += complaint.readline()
        assert served.end() == (0, "")
    (ended,) = [line for line in lines_of(seen + served.log) if line["event"] == "job ended"]
    assert (ended["job_id"], ended["state"]) == (job, "succeeded")
    assert (ended["runs_created"], ended["runs_existing"], ended["runs_failed"]) == (1, 0, 1)


def marked_requests() -> Iterator[tuple[str, str, bytes | None, Mapping[str, str]]]:
    """Yield requests with marked content in every field and part, good ones and all kinds of bad ones."""
    typed = {"Content-Type": "application/json"}
    good = {**sent_run(f"{CANARY}-1"), "run_id": CANARY, "agent_name": CANARY, "item_name": CANARY, CANARY: CANARY}
    good |= {"metrics_json": {CANARY: 1}, "error_details": CANARY, "input_summary": f"{CANARY}\n{CANARY}"}
    invalid = [
        {**good, "event_id": f"{CANARY}-{name}", name: CANARY} for name in ("start_time", "status", "duration_ms")
    ]
    batches = [[good], [good, *invalid], invalid, [], CANARY]
    for path in ("batch", "batch-transactional"):
        for runs in batches:
            yield "POST", f"/api/v1/runs/{path}", json.dumps({"runs": runs}).encode(), typed
    for run in (good, *invalid, {**good, "agent_name": "other"}, CANARY):
        yield "POST", "/api/v1/runs", json.dumps(run).encode(), typed
    for broken in (b'{"' + CANARY.encode(), b"\xff" + CANARY.encode(), b'{"a": NaN, "canary": 1}'):
        yield "POST", "/api/v1/runs", broken, typed
        yield "POST", "/api/v1/runs/stream", broken + b"\n", {"Content-Type": "application/x-ndjson"}
        yield "POST", "/api/v1/runs/stream", broken, typed
    yield "POST", "/api/v1/runs/stream", lines([good, *invalid]), {"Content-Type": "application/x-ndjson"}
    yield "POST", "/api/v1/runs", b"x", {"Content-Type": f"text/{CANARY}"}
    yield "POST", "/api/v1/runs", CANARY.encode(), {**typed, "Content-Encoding": "gzip"}
    yield "POST", "/api/v1/runs", b"{}", {**typed, "Expect": CANARY}
    yield "POST", "/api/v1/runs", b"{}", {**typed, "Origin": f"https://{CANARY}.example"}
    for method in ("GET", "DELETE", "PUT", CANARY):
        yield method, f"/{CANARY}", None, {"Cookie": CANARY, f"X-{CANARY}": CANARY}
        yield method, f"/api/v1/limits?{CANARY}", None, {}
    yield "PATCH", f"/api/v1/runs/{CANARY}-1", json.dumps({"status": CANARY, CANARY: 1}).encode(), typed
    yield "PATCH", f"/api/v1/runs/{CANARY}-0", json.dumps({"error_details": CANARY}).encode(), typed
    yield "POST", f"/api/v1/runs/{CANARY}-1/associate-commit", json.dumps({"commit_hash": CANARY}).encode(), typed
    for query in (f"{CANARY}=1", f"status={CANARY}", f"run_id={CANARY}", f"cursor={CANARY}", f"limit={CANARY}"):
        yield "GET", f"/api/v1/runs?{query}", None, {"Referer": CANARY}
        yield "GET", f"/api/v1/export?{query}", None, {"User-Agent": CANARY}
    yield "GET", f"/api/v1/jobs/{CANARY}", None, {}


def send_malformed(api: Api) -> None:
    """Send marked content in what is no HTTP."""
    address = urlsplit(api.url)
    mark = CANARY.encode()
    for sent in (
        mark + b"\r\n\r\n",
        b"GET /" + mark + b" HTTP/1.1\r\nHost: " + mark + b"\r\n" + mark + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + mark * 3000 + b"\r\n\r\n",
        POST_RUN + b"Transfer-Encoding: " + mark + b"\r\n\r\n",
        POST_RUN + b"Transfer-Encoding: chunked\r\n\r\n" + mark + b"\r\n",
        POST_RUN + b"Content-Length: 1000\r\n\r\n" + mark,
    ):
        with socket.create_connection((address.hostname, address.port), DEADLINE_SECONDS) as link:
            link.sendall(sent)
            link.shutdown(socket.SHUT_WR)
            with link.makefile("rb") as received:
                received.read()


@pytest.mark.parametrize("database", ["sound", "failing"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_that_clients_send_is_logged(serve: Serve, database: str, form: str) -> None:
    """Whatever is sent, wherever it stands, and whatever fails because of it: no line at debug shows any of it."""
    environment = {"RUNSINK_TOKENS": f"shipper write {TOKEN}", "RUNSINK_LOG_LEVEL": "debug", "RUNSINK_LOG_FORMAT": form}
    with serve("--port", "0", **environment) as served:
        assert served.first_line
        if database == "failing":
            with closing(apsw.Connection(str(served.directory / "runsink.db"))) as other:
                other.execute("ALTER TABLE tallies RENAME TO gone")
                other.execute("ALTER TABLE runs RENAME TO gone_too")
        statuses = []
        for token in (f"Bearer {TOKEN}", f"Bearer {CANARY}", f"Basic {CANARY}"):
            for method, path, body, headers in marked_requests():
                statuses.append(send_marked(served.api, method, path, body, {**headers, "Authorization": token}))
        send_malformed(served.api)
        served.process.send_signal(signal.SIGTERM)
        _, shown = served.process.communicate(timeout=DEADLINE_SECONDS)
    assert served.process.returncode == 0
    assert CANARY not in shown
    assert "dropped" not in shown
    assert shown.count("shipper") > 30
    expected = {400, 401, 403, 404, 405, 415, 417, 422, 500} | ({201} if database == "sound" else set())
    assert expected <= set(statuses)


def send_marked(api: Api, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> int:
    """Send a request; return its status. The response may be of any kind."""
    with closing(http.client.HTTPConnection(urlsplit(api.url).netloc, timeout=DEADLINE_SECONDS)) as connection:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status


def test_exceptions_show_where_and_not_what(tmp_path: Path) -> None:
    """Types and calls, but no message that may quote content; those of known errors are shown."""
    with logging_to(tmp_path / "log"):
        try:
            try:
                int(CANARY)
            except ValueError as error:
                raise StoreError("the disk burns") from error
        except StoreError:
            logging.getLogger("runsink").exception("failed")
        logging.getLogger("asyncio").error("first line\nvalue: %s", CANARY)
        log_loop_error(None, {"message": f"Exception in callback f('{CANARY}') at x", "exception": KeyError(CANARY)})  # type: ignore[arg-type]
    failed, library, callback = lines_of((tmp_path / "log").read_text())
    assert CANARY not in (tmp_path / "log").read_text()
    first, second = failed["exception"].split("\n\n")
    assert first.endswith("\nValueError")
    assert "in test_exceptions_show_where_and_not_what" in first
    assert second.endswith("core.errors.StoreError: the disk burns")
    assert (library["event"], library["logger"]) == ("first line", "asyncio")
    assert callback["event"] == "error in the event loop: Exception in callback f"
    assert callback["exception"] == "KeyError"


def test_a_crash_is_logged_and_ends_the_process(tmp_path: Path) -> None:
    """With status 1, after the line is out."""
    with pytest.raises(SystemExit) as ended, logging_to(tmp_path / "log"):
        raise KeyError(CANARY)
    assert ended.value.code == 1
    (line,) = lines_of((tmp_path / "log").read_text())
    assert (line["level"], line["event"]) == ("critical", "the process crashed")
    assert line["exception"].endswith("KeyError")


def test_a_record_that_cannot_be_formatted_names_its_place(tmp_path: Path) -> None:
    """It fails neither the caller nor the log."""
    with logging_to(tmp_path / "log"):
        handler = next(handler for handler in logging.getLogger().handlers if isinstance(handler, LineHandler))
        handler.emit(logging.LogRecord("runsink", logging.ERROR, __file__, 17, "%d runs", (CANARY,), None))
    (line,) = lines_of((tmp_path / "log").read_text())
    assert re.fullmatch(r"a line of the log could not be formatted: test_logs\.py:17", line["event"])


def test_logging_ends_with_its_block(tmp_path: Path) -> None:
    """A program that runs a server in-process gets its own logging back."""
    before = [*logging.getLogger().handlers]
    with logging_to(tmp_path / "log"):
        assert any(isinstance(handler, LineHandler) for handler in logging.getLogger().handlers)
        assert dropped_lines() == 0
    assert logging.getLogger().handlers == before
    with logging_in_worker():
        assert dropped_lines() == 0
    assert (tmp_path / "log").read_text() == ""


def test_the_page_names_every_field() -> None:
    """The table of fields is that of the code, and what lines have is in it."""
    table = PAGE.read_text(encoding="utf-8").partition("## Fields")[2].partition("## ")[0]
    rows = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", table, flags=re.MULTILINE)
    assert dict(rows) == FIELDS
