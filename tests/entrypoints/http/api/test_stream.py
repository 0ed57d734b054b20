"""Streaming uploads over real HTTP: what is taken, and how it is answered."""

import json
import time
from contextlib import ExitStack

import pytest

from adapters.content_coding import CODINGS, encode
from core.model.limits import Limits
from entrypoints.http.api import stream_taker
from tests.http_streams import COUNTS, MEMBERS, NDJSON, STREAM, fetch, is_early_end, numbers, sending, stored, stream
from tests.jobs import RUNS, lines, sent_run, wait_until
from tests.servers import Api, Start

JSON = "application/json"


@pytest.mark.parametrize("kind", [NDJSON, "application/jsonl", "Application/X-NDJSON; charset=utf-8"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lines(RUNS), id="LF"),
        pytest.param(lines(RUNS).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lines(RUNS)[:-1], id="no last line end"),
    ],
)
def test_lines_are_taken(any_server: Api, body: bytes, kind: str) -> None:
    """One run per line, under each of the types, however the lines end."""
    answer = stream(any_server, body, kind)
    assert (answer.status, numbers(answer), answer.body.keys()) == (200, (5, 5, 0, 0, 5), MEMBERS)
    assert stored(any_server) == {f"e{number}" for number in range(5)}


def test_blank_lines_count_as_lines_only(server: Api) -> None:
    """They are no runs, and no errors."""
    answer = stream(server, b"\n \t\r\n" + lines(RUNS[:1]) + b"\n\n" + lines(RUNS[1:2]) + b"\n")
    assert (answer.status, numbers(answer)) == (200, (2, 2, 0, 0, 7))


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n"])
def test_a_stream_of_nothing_is_200(shared_server: Api, body: bytes) -> None:
    """A file without runs is read to its end like any other."""
    answer = stream(shared_server, body)
    assert (answer.status, answer.counts) == (200, (0, 0, 0, 0))


@pytest.mark.parametrize("document", [RUNS, {"runs": RUNS}, {"client": {"v": 1}, "runs": RUNS, "note": None}])
def test_arrays_are_taken(any_server: Api, document: object) -> None:
    """A bare array, and an object with one."""
    answer = stream(any_server, json.dumps(document).encode(), JSON)
    assert (answer.status, numbers(answer)) == (200, (5, 5, 0, 0, 5))


@pytest.mark.parametrize("body", [b"{}", b"1", b'{"runs": 1}', b'"x"'])
def test_json_that_is_no_array_is_422(shared_server: Api, body: bytes) -> None:
    """With the place, and the counts, which are zero."""
    answer = stream(shared_server, body, JSON)
    assert is_early_end(answer, 422)
    assert numbers(answer) == (0, 0, 0, 0, 0)
    assert answer.locations[0][0] == "body"


@pytest.mark.parametrize("body", [b"", b"[", b"[{]", b"\xff"])
def test_an_array_that_is_not_json_is_400(shared_server: Api, body: bytes) -> None:
    """Nothing of it is taken."""
    assert is_early_end(stream(shared_server, body, JSON), 400)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("kind", [NDJSON, JSON])
def test_compressed_streams_are_taken(server: Api, coding: str, kind: str) -> None:
    """Like any other body."""
    body = lines(RUNS) if kind == NDJSON else json.dumps(RUNS).encode()
    answer = stream(server, encode(coding, body), kind, Content_Encoding=coding)
    assert (answer.status, numbers(answer)) == (200, (5, 5, 0, 0, 5))


def test_other_types_and_codings_are_415(shared_server: Api) -> None:
    """And nothing is stored."""
    for answer in (
        stream(shared_server, lines(RUNS), "text/plain"),
        stream(shared_server, lines(RUNS), Content_Encoding="br"),
        shared_server.request("POST", STREAM, lines(RUNS)),
    ):
        assert (answer.status, answer.body.keys()) == (415, {"detail"})


def test_bad_lines_fail_alone(server: Api) -> None:
    """A bad run, a line that is not JSON, no object, and a line that is too long; the status is still 200."""
    too_long = lines([sent_run("long", input_summary="x" * Limits().max_run_bytes)])
    body = lines([RUNS[0], RUNS[1] | {"status": "lost", "job_type": 1}]) + b"{\n[]\n" + too_long + lines([RUNS[2]])
    answer = stream(server, body)
    assert (answer.status, numbers(answer)) == (200, (6, 2, 0, 4, 6))
    errors = answer.body["errors"]
    assert [(error["line"], error["event_id"], error["run_id"]) for error in errors] == [
        (2, "e1", "r"),
        (2, "e1", "r"),
        (3, None, None),
        (4, None, None),
        (5, None, None),
    ]
    assert {error["field"] for error in errors[:2]} == {"status", "job_type"}
    assert all(error["error"] and error["retryable"] is False for error in errors)
    assert "max_run_bytes" in errors[4]["error"]
    assert stored(server) == {"e0", "e2"}


def test_partial_status_does_not_apply(start: Start) -> None:
    """Shippers send everything again on any other status."""
    with start(partial_status=207) as server:
        assert stream(server, b"{\n").status == 200


def test_the_same_stream_again_is_existing(any_server: Api) -> None:
    """Also within one stream; a run that differs is a conflict."""
    assert stream(any_server, lines(RUNS * 2)).counts == (10, 5, 5, 0)
    answer = stream(any_server, lines([*RUNS, RUNS[3] | {"agent_name": "other"}]))
    assert answer.counts == (6, 0, 6, 0)
    assert answer.body["conflicts"] == [{"line": 6, "event_id": "e3", "fields": ["agent_name"]}]


def test_a_thousand_errors_and_conflicts_are_listed(server: Api) -> None:
    """The first ones, and the others are counted."""
    others = [sent_run(f"o{number}") for number in range(1500)]
    changed = [run | {"agent_name": "other"} for run in others]
    answer = stream(server, lines([*others, *changed]) + b"{\n" * 1200)
    assert numbers(answer) == (4200, 1500, 1500, 1200, 4200)
    assert [error["line"] for error in answer.body["errors"]] == list(range(3001, 4001))
    assert [conflict["line"] for conflict in answer.body["conflicts"]] == list(range(1501, 2501))
    assert (answer.body["errors_omitted"], answer.body["conflicts_omitted"]) == (200, 500)


def test_a_stream_may_be_longer_than_any_other_body(server: Api) -> None:
    """More bytes than a batch may have, and more than wait to be written."""
    runs = [sent_run(f"{number}", output_summary="x" * 8000) for number in range(2500)]
    body = lines(runs)
    assert len(body) > Limits().max_body_bytes
    assert numbers(stream(server, body)) == (2500, 2500, 0, 0, 2500)


def test_an_array_beyond_the_limit_of_bodies_is_413(shared_server: Api) -> None:
    """As sent, and decompressed; the detail says what to do."""
    body = b" " * (Limits().max_body_bytes + 1)
    for answer in (
        stream(shared_server, body, JSON),
        stream(shared_server, encode("gzip", body), JSON, Content_Encoding="gzip"),
    ):
        assert is_early_end(answer, 413)
        assert "max_body_bytes" in answer.body["detail"]


def test_a_stream_may_take_longer_than_other_bodies(start: Start) -> None:
    """As long as it is fast enough."""
    with start(body_seconds=3) as server, sending(server) as body:
        for number in range(8):
            body.send(lines([sent_run(f"{number}", output_summary="x" * 2000)]))
            time.sleep(0.5)
        body.end()
        assert numbers(body.answer()) == (8, 8, 0, 0, 8)


def test_progress_is_told_after_each_chunk(any_server: Api) -> None:
    """A line for each while the body is still coming, and the whole result in the end."""
    with sending(any_server, Accept=NDJSON) as body:
        body.send(lines(RUNS[:3]))
        response = body.begin_response()
        assert (response.status, response.headers["Content-Type"]) == (200, NDJSON)
        first = json.loads(response.readline())
        assert first == {"last_line": 3, "total": 3, "created": 3, "existing": 0, "failed": 0}
        body.send(lines(RUNS[3:]) + b"{\n")
        body.end()
        rest = [json.loads(line) for line in response.read().splitlines()]
    assert rest[0] == {"last_line": 6, "total": 6, "created": 5, "existing": 0, "failed": 1}
    assert rest[-1].keys() == MEMBERS
    assert len(rest[-1]["errors"]) == 1


def test_a_client_of_progress_that_leaves_frees_its_place(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is left to tell, and that is nothing for the log."""
    with start(max_streams=1) as server:
        with sending(server, Accept=NDJSON) as body:
            body.send(lines(RUNS[:3]))
            assert json.loads(body.begin_response().readline())["created"] == 3
            body.send(lines(RUNS[3:]))
        wait_until(lambda: stream(server, lines(RUNS)).status == 200)
        assert len(stored(server)) == 5
    assert caplog.messages == []


def test_progress_may_be_read_when_everything_is_sent(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if so much of it waits that none fits any more, for longer than a response may wait otherwise."""
    monkeypatch.setattr(stream_taker, "stream_progress", lambda result: {"total": result.total, "pad": "x" * 2**21})
    with start(body_seconds=3) as server, sending(server, Accept=NDJSON) as body:
        for number in range(20):
            body.send(lines([sent_run(f"{number}-{line}") for line in range(1000)]))
        for number in range(8):
            time.sleep(0.5)
            body.send(lines([sent_run(f"late-{number}", output_summary="x" * 2000)]))
        body.end()
        last = json.loads(body.begin_response().read().splitlines()[-1])
    assert (last["total"], last["created"], "status" in last) == (20_008, 20_008, False)


def test_progress_of_a_long_stream_adds_up(server: Api) -> None:
    """No line of it goes back, and the last one is the whole."""
    body = lines([sent_run(f"{number}") for number in range(3500)])
    told = fetch(server, "POST", STREAM, body, Content_Type=NDJSON, Accept=f"text/html, {NDJSON};q=0.5")
    assert [line["last_line"] for line in told.lines] == [1000, 2000, 3000, 3500, 3500]
    assert all(line["total"] == sum(line[name] for name in COUNTS[1:]) for line in told.lines)
    assert told.lines[-1].keys() == MEMBERS


def test_a_stream_too_many_is_503(start: Start) -> None:
    """It is told at once; one that ends makes room."""
    with start(max_streams=2) as server, ExitStack() as stack:
        kept = [stack.enter_context(sending(server)) for _ in range(2)]
        for number, body in enumerate(kept):
            body.send(lines(RUNS[number : number + 1]))
        wait_until(lambda: len(stored(server)) == 2)
        answer = stream(server, lines(RUNS))
        assert (answer.status, answer.body.keys()) == (503, {"detail"})
        assert "max_streams" in answer.body["detail"]
        assert int(answer.headers["Retry-After"]) >= 1
        kept[0].end()
        assert kept[0].answer().status == 200
        assert stream(server, lines(RUNS)).counts == (5, 3, 2, 0)
        assert server.request("GET", "/api/v1/limits").body["max_streams"] == 2


@pytest.mark.parametrize("quota", [4, 7, 10])
def test_a_rate_limit_slows_down_and_rejects_nothing(start: Start, quota: int) -> None:
    """Neither a stream with more runs than there are in a window, nor a chunk with more."""
    with start(rate_runs=f"{quota}/second") as server:
        begun = time.monotonic()
        answer = stream(server, lines([sent_run(f"{number}") for number in range(20)]))
        assert (answer.status, numbers(answer)) == (200, (20, 20, 0, 0, 20))
        assert time.monotonic() - begun >= (20 - 1) // quota * 0.9
        assert "runs" in answer.headers["RateLimit"]


@pytest.mark.parametrize("whole", [False, True])
def test_a_client_that_leaves_while_it_waits_for_its_quota_frees_its_place(start: Start, *, whole: bool) -> None:
    """Not only when the quota is there again."""
    with start(rate_runs="2/hour", max_streams=1) as server:
        with sending(server) as body:
            body.send(lines(RUNS))
            if whole:
                body.end()
            time.sleep(1.5)
            wait_until(lambda: stream(server, b"").status == 503)
        wait_until(lambda: stream(server, b"").status == 200)


def test_full_queues_slow_a_stream_down(start: Start) -> None:
    """Where hardly a chunk may wait to be written, several streams are taken all the same."""
    with start(max_queue_bytes=1) as server, ExitStack() as stack:
        bodies = [stack.enter_context(sending(server)) for _ in range(4)]
        for name, body in enumerate(bodies):
            body.send(lines([sent_run(f"{name}-{number}") for number in range(2500)]))
            body.end()
        assert [numbers(body.answer()) for body in bodies] == [(2500, 2500, 0, 0, 2500)] * 4


def test_expect_is_answered_before_the_body(server: Api) -> None:
    """Some clients wait for it before a long body."""
    with sending(server, Expect="100-continue") as body:
        assert body.link.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        body.send(lines(RUNS))
        body.end()
        assert body.answer().status == 200
