"""Streaming uploads over real HTTP that end early: what is answered, and what is kept."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from adapters.content_coding import CODINGS, encode
from adapters.sqlite import connection as sqlite_connection
from entrypoints.http.api.stream import Pace
from entrypoints.http.messages.responses import SlowBodyError
from tests.http_streams import MEMBERS, NDJSON, STREAM, fetch, is_early_end, numbers, sending, stored, stream
from tests.jobs import RUNS, lines, sent_run, wait_until
from tests.servers import Api, Serve, Start


def test_a_broken_chunk_ends_the_stream(server: Api) -> None:
    """Bytes that are no chunk are 400, and the connection is closed."""
    with sending(server) as body:
        body.send(lines(RUNS[:3]))
        wait_until(lambda: len(stored(server)) == 3)
        body.send(lines(RUNS[3:]))
        body.send_raw(b"junk\r\n")
        answer = body.answer()
    assert is_early_end(answer, 400)
    assert answer.headers["Connection"] == "close"
    assert answer.body["created"] == len(stored(server)) >= 3


def test_a_client_that_ends_in_the_middle_is_told(any_server: Api) -> None:
    """What was stored after a moment of silence stays, and is counted."""
    with sending(any_server) as body:
        body.send(lines(RUNS[:3]) + b'{"event')
        wait_until(lambda: len(stored(any_server)) == 3)
        body.stop()
        answer = body.answer()
    assert is_early_end(answer, 400)
    assert numbers(answer) == (3, 3, 0, 0, 3)


def test_a_client_that_leaves_in_the_middle_frees_its_place(start: Start) -> None:
    """Whatever it has sent before, the server goes on."""
    with start(max_streams=1) as server:
        with sending(server) as body:
            body.send(lines(RUNS[:3]))
            wait_until(lambda: len(stored(server)) == 3)
        wait_until(lambda: stream(server, lines(RUNS)).status == 200)
        assert len(stored(server)) == 5


@pytest.mark.parametrize("coding", CODINGS)
def test_damaged_compression_ends_the_stream(any_server: Api, coding: str) -> None:
    """The lines before it are kept."""
    body = encode(coding, lines(RUNS)) + b"junk junk junk"
    answer = stream(any_server, body, Content_Encoding=coding)
    assert is_early_end(answer, 400)
    assert numbers(answer) == (5, 5, 0, 0, 5)
    assert len(stored(any_server)) == 5


def test_invalid_utf8_ends_the_stream(any_server: Api) -> None:
    """At the line before it: what follows cannot be trusted."""
    body = lines(RUNS[:3]) + lines([sent_run("X")]).replace(b"X", b"\xff") + lines(RUNS[3:])
    answer = stream(any_server, body)
    assert is_early_end(answer, 400)
    assert numbers(answer) == (3, 3, 0, 0, 3)
    assert stored(any_server) == {"e0", "e1", "e2"}


def test_silence_ends_the_stream(start: Start) -> None:
    """With 408 after ``body-seconds``; the lines that had come are kept."""
    with start(body_seconds=2) as server, sending(server) as body:
        body.send(lines(RUNS[:3]) + b'{"event')
        begun = time.monotonic()
        answer = body.answer()
        assert is_early_end(answer, 408)
        assert "max_body_seconds" in answer.body["detail"]
        assert answer.headers["Connection"] == "close"
        assert numbers(answer) == (3, 3, 0, 0, 3)
        assert 1 <= time.monotonic() - begun < 10


def test_a_trickle_ends_the_stream(start: Start) -> None:
    """A client that sends a byte now and then would hold its place for ever."""
    with start(body_seconds=1) as server, sending(server) as body:
        stopped = threading.Event()

        def trickle() -> None:
            while not stopped.wait(0.2):
                try:
                    body.send(b" ")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            answer = body.answer()
        finally:
            stopped.set()
            thread.join()
        assert is_early_end(answer, 408)
        assert "min_stream_bytes_per_second" in answer.body["detail"]


def test_the_pace_is_of_the_time_that_is_waited() -> None:
    """A client that is fast when it is its turn may be slow altogether."""
    pace = Pace(2)
    for _ in range(100):
        pace.note(0.0, 1)
    pace.note(1.5, 50)
    with pytest.raises(SlowBodyError, match="min_stream_bytes_per_second"):
        pace.note(0.5, 1)


def test_an_early_end_shows_in_the_last_line_of_progress(server: Api) -> None:
    """The status was sent long ago."""
    for body, kind, coding, status in (
        (lines(RUNS) + b"\xff\n", NDJSON, "identity", 400),
        (encode("gzip", lines(RUNS)) + b"junk", NDJSON, "gzip", 400),
        (b"{}", "application/json", "identity", 422),
    ):
        told = fetch(server, "POST", STREAM, body, Content_Type=kind, Content_Encoding=coding, Accept=NDJSON)
        assert told.status == 200
        last = told.lines[-1]
        assert last.keys() == {*MEMBERS, "status", "detail", "request_id"}
        assert last["status"] == status
    with sending(server, Accept=NDJSON) as half:
        half.send(lines(RUNS))
        wait_until(lambda: len(stored(server)) == 5)
        half.send_raw(b"junk\r\n")
        last = json.loads(half.begin_response().read().splitlines()[-1])
    assert (last["status"], bool(last["detail"])) == (400, True)


@pytest.mark.parametrize("settings", [[], ["--rate-runs", "2/hour"]])
def test_stopping_ends_a_stream_in_time(serve: Serve, settings: list[str]) -> None:
    """With 503 and what is stored, also when it waits for its quota; the server ends with 0."""
    with serve("--port", "0", *settings) as served, sending(served.api) as body:
        body.send(lines(RUNS[:2]))
        wait_until(lambda: len(stored(served.api)) == 2)
        body.send(lines(RUNS[2:]))
        time.sleep(0.2)
        begun = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        answer = body.answer()
        assert served.process.wait(30) == 0
        assert time.monotonic() - begun < 8
    assert is_early_end(answer, 503)
    assert int(answer.headers["Retry-After"]) >= 1
    with serve("--port", "0") as served:
        assert len(stored(served.api)) == answer.body["created"] >= 2


def test_stopping_is_told_in_the_last_line_of_progress(serve: Serve) -> None:
    """And the server ends with 0."""
    with serve("--port", "0") as served, sending(served.api, Accept=NDJSON) as body:
        body.send(lines(RUNS[:3]))
        response = body.begin_response()
        assert json.loads(response.readline())["created"] == 3
        served.process.send_signal(signal.SIGTERM)
        last = json.loads(response.read().splitlines()[-1])
        assert (last["status"], last["created"]) == (503, 3)
        assert served.process.wait(30) == 0


def test_stopping_makes_no_job_of_half_a_body(serve: Serve) -> None:
    """It is told so, and the next server finds nothing of it."""
    with serve("--port", "0") as served, sending(served.api, Prefer="respond-async") as body:
        body.send(lines(RUNS))
        time.sleep(0.5)
        served.process.send_signal(signal.SIGTERM)
        answer = body.answer()
        assert (answer.status, list(answer.body)) == (503, ["detail"])
        assert served.process.wait(30) == 0
    with serve("--port", "0") as served:
        assert served.api.request("GET", "/api/v1/jobs").body["jobs"] == []


def test_stopping_reaches_a_client_that_goes_on_sending(serve: Serve) -> None:
    """It reads the answer although the server takes no more of what it sends."""
    with serve("--port", "0") as served, sending(served.api) as body:
        body.send(lines(RUNS))
        wait_until(lambda: len(stored(served.api)) == 5)
        served.process.send_signal(signal.SIGTERM)
        give_up = time.monotonic() + 3
        while time.monotonic() < give_up:
            try:
                body.send(lines(RUNS))
            except OSError:
                break
            time.sleep(0.001)
        assert is_early_end(body.answer(), 503)


def test_a_full_disk_ends_the_stream(connections: list[apsw.Connection], start: Start) -> None:
    """With 507, what was stored before stays, and the same stream is taken once there is room."""
    body = lines([sent_run(f"{number}", input_summary="x" * 500) for number in range(3000)])
    with start() as server:
        connections[0].pragma("max_page_count", int(connections[0].pragma("page_count")) + 300)
        answer = stream(server, body)
        assert is_early_end(answer, 507)
        kept = answer.body["created"]
        assert kept == answer.body["last_line"] == server.find().body["total"] > 0
        connections[0].pragma("max_page_count", 1_000_000)
        assert stream(server, body).counts == (3000, 3000 - kept, kept, 0)


def test_a_locked_database_ends_the_stream(monkeypatch: pytest.MonkeyPatch, start: Start, tmp_path: Path) -> None:
    """With 503 and when to come again."""
    monkeypatch.setattr(sqlite_connection, "BUSY_TIMEOUT_MS", 50)
    with start() as server:
        other = apsw.Connection(str(tmp_path / "runs.db"))
        other.execute("BEGIN IMMEDIATE")
        answer = stream(server, lines(RUNS))
        other.close()
        assert is_early_end(answer, 503)
        assert numbers(answer) == (0, 0, 0, 0, 0)
        assert answer.headers["Retry-After"] == "1"


def cut_streams(body: bytes) -> Iterator[bytes]:
    """Yield the body, cut behind every byte."""
    yield from (body[:end] for end in range(len(body)))


@pytest.mark.parametrize("coding", [None, *CODINGS])
def test_a_stream_cut_at_every_byte(server: Api, coding: str | None) -> None:
    """Each is 200 or 400, and what it counts is what is stored, whole."""
    runs = [sent_run(f"c{number}", run_id=f"c{number}") for number in range(3)]
    body = lines(runs) if coding is None else encode(coding, lines(runs))
    headers = {} if coding is None else {"Content_Encoding": coding}
    known: set[str] = set()
    for cut in cut_streams(body):
        answer = stream(server, cut, **headers)
        total, created, existing, failed = answer.counts
        assert answer.status == (200 if coding is None else 400), cut
        assert total == created + existing + failed == answer.body["last_line"]
        found = server.find()
        assert {run["run_id"] for run in found.body["runs"]} == set(found.event_ids)
        assert found.body["total"] == len(known) + created
        known = set(found.event_ids)
    assert stream(server, body, **headers).body["failed"] == 0
    assert stored(server) == {"c0", "c1", "c2"}


def test_a_connection_cut_at_every_byte(server: Api) -> None:
    """A client that ends its side anywhere is told, and nothing is half kept."""
    content = lines([sent_run(f"c{number}") for number in range(2)])
    whole = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    for end in range(len(whole)):
        with sending(server) as body:
            body.send_raw(whole[:end])
            body.stop()
            answer = body.answer()
        assert is_early_end(answer, 400), end
        assert answer.body["total"] == answer.body["created"] + answer.body["existing"]
    assert stored(server) <= {"c0", "c1"}


def test_a_body_that_is_shorter_than_announced_is_400(server: Api) -> None:
    """The lines that came before are kept."""
    body = lines(RUNS)
    with sending(server, length=len(body) + 1) as sent:
        sent.send_raw(body)
        wait_until(lambda: len(stored(server)) == 5)
        sent.stop()
        assert is_early_end(sent.answer(), 400)
