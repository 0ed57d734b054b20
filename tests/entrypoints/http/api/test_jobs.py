"""Background jobs over real HTTP: made of streams, looked at, cancelled and removed."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from adapters.content_coding import CODINGS, encode
from core.model.job import JobPage
from entrypoints.process import job_runner
from tests.http_streams import MEMBERS, NDJSON, fetch, sending, stream
from tests.jobs import RUNS, lines, sent_run, wait_until
from tests.servers import Answer, Api, Serve, Start

JSON = "application/json"
JOBS = "/api/v1/jobs"
JOB_MEMBERS = {
    *MEMBERS,
    "job_id",
    "state",
    "created_at",
    "started_at",
    "finished_at",
    "bytes_done",
    "bytes_total",
    "detail",
}
FINISHED = {"succeeded", "failed", "cancelled"}


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Keep jobs from being run before this is called."""
    with monkeypatch.context() as patched:
        patched.setattr(job_runner, "list_waiting", lambda *_: JobPage((), None))
        yield patched.undo


def send(api: Api, body: bytes, kind: str = NDJSON, **headers: str) -> Answer:
    """Have a stream taken as a job."""
    return stream(api, body, kind, Prefer="respond-async", **headers)


def job_at(api: Api, path: str) -> dict[str, Any]:
    """Return the job with this path."""
    answer = api.request("GET", path)
    assert (answer.status, answer.body.keys()) == (200, JOB_MEMBERS)
    return dict(answer.body)


def finished(api: Api, accepted: Answer) -> dict[str, Any]:
    """Return the job that was accepted, once it is finished."""
    assert accepted.status == 202, accepted
    path = accepted.headers["Location"]
    wait_until(lambda: job_at(api, path)["state"] in FINISHED)
    return job_at(api, path)


def counts(job: dict[str, Any]) -> tuple[int, ...]:
    """Return the counts of a job, and the last line."""
    return tuple(job[name] for name in ("total", "created", "existing", "failed", "last_line"))


def test_a_stream_becomes_a_job(any_server: Api) -> None:
    """It is accepted at once, says where it is, and has the result of the stream in the end."""
    body = lines([*RUNS, RUNS[1] | {"agent_name": "other"}]) + b"{\n"
    accepted = send(any_server, body)
    assert (accepted.status, accepted.body.keys()) == (202, JOB_MEMBERS)
    assert accepted.headers["Preference-Applied"] == "respond-async"
    assert accepted.headers["Location"] == f"{JOBS}/{accepted.body['job_id']}"
    assert (accepted.body["state"], accepted.body["bytes_total"]) == ("queued", len(body))
    job = finished(any_server, accepted)
    assert (job["state"], counts(job)) == ("succeeded", (7, 5, 1, 1, 7))
    assert [error["line"] for error in job["errors"]] == [7]
    assert job["conflicts"] == [{"line": 6, "event_id": "e1", "fields": ["agent_name"]}]
    assert job["bytes_done"] == job["bytes_total"] == len(body)
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    assert job["detail"] is None
    assert any_server.find().body["total"] == 5


@pytest.mark.parametrize("coding", [None, *CODINGS])
@pytest.mark.parametrize("kind", [NDJSON, JSON])
def test_any_stream_may_be_a_job(server: Api, kind: str, coding: str | None) -> None:
    """Lines and arrays, in any coding."""
    body = lines(RUNS) if kind == NDJSON else json.dumps({"runs": RUNS}).encode()
    headers = {} if coding is None else {"Content_Encoding": coding}
    job = finished(server, send(server, body if coding is None else encode(coding, body), kind, **headers))
    assert (job["state"], counts(job)) == ("succeeded", (5, 5, 0, 0, 5))


def test_a_job_in_chunks_is_taken(server: Api) -> None:
    """A body of no known length."""
    with sending(server, Prefer="wait=10, respond-async") as body:
        for run in RUNS:
            body.send(lines([run]))
        body.end()
        accepted = body.answer()
    assert counts(finished(server, accepted)) == (5, 5, 0, 0, 5)


@pytest.mark.parametrize(
    ("body", "headers", "words", "kept"),
    [
        (lines(RUNS) + b'"\xff"\n', {}, "UTF-8", 5),
        (encode("gzip", lines(RUNS)) + b"junk", {"Content_Encoding": "gzip"}, "decompressed", 5),
        (b"{}", {"kind": JSON}, "runs", 0),
        (b"[", {"kind": JSON}, "JSON", 0),
    ],
)
def test_a_job_that_cannot_be_read_to_its_end_fails(
    any_server: Api, body: bytes, headers: dict[str, str], words: str, kept: int
) -> None:
    """It says why, and what was stored stays."""
    job = finished(any_server, send(any_server, body, **headers))
    assert (job["state"], counts(job)) == ("failed", (kept, kept, 0, 0, kept))
    assert words in job["detail"]
    assert any_server.find().body["total"] == kept


def test_a_waiting_job_is_cancelled_and_then_removed(any_server: Api, release: Callable[[], None]) -> None:
    """200 with the job, and 204 without a body, and 404 from then on."""
    path = send(any_server, lines(RUNS)).headers["Location"]
    cancelled = any_server.request("DELETE", path)
    assert (cancelled.status, cancelled.body.keys()) == (200, JOB_MEMBERS)
    assert (cancelled.body["state"], counts(cancelled.body)) == ("cancelled", (0, 0, 0, 0, 0))
    assert job_at(any_server, path) == cancelled.body
    release()
    assert finished(any_server, send(any_server, lines(RUNS[:2])))["created"] == 2
    removed = any_server.request("DELETE", path)
    assert (removed.status, removed.body) == (204, None)
    for method in ("GET", "DELETE"):
        answer = any_server.request(method, path)
        assert (answer.status, list(answer.body)) == (404, ["detail"])
    assert any_server.find().body["total"] == 2


def test_the_body_of_a_cancelled_job_is_removed_at_once(
    server: Api, tmp_path: Path, release: Callable[[], None]
) -> None:
    """Its room in the spool is free again."""
    job_id = send(server, lines(RUNS)).body["job_id"]
    body = tmp_path / "runs.db-spool" / f"{job_id}.body"
    assert body.exists()
    assert server.request("DELETE", f"/api/v1/jobs/{job_id}").status == 200
    assert not body.exists()
    release()


def test_a_running_job_is_cancelled(server: Api) -> None:
    """What it has stored stays, and is what it counts."""
    body = encode("gzip", lines([sent_run(f"{number}", input_summary="x" * 1000) for number in range(30_000)]))
    path = send(server, body, Content_Encoding="gzip").headers["Location"]
    wait_until(lambda: job_at(server, path)["created"] > 0)
    cancelled = server.request("DELETE", path)
    assert (cancelled.status, cancelled.body["state"]) == (200, "cancelled")
    time.sleep(0.5)
    job = job_at(server, path)
    assert job == cancelled.body
    assert 0 < job["created"] < 30_000
    assert server.find().body["total"] == job["created"]


def test_jobs_are_listed_newest_first(server: Api) -> None:
    """By state, and page by page."""
    ids = [finished(server, send(server, lines([run])))["job_id"] for run in RUNS]
    bad = finished(server, send(server, b"{}", JSON))["job_id"]
    newest_first = [bad, *reversed(ids)]

    def page(**query: str) -> tuple[list[str], str | None]:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        answer = server.request("GET", f"{JOBS}?{asked}")
        assert (answer.status, list(answer.body)) == (200, ["jobs", "next_cursor"])
        assert all(job.keys() == JOB_MEMBERS for job in answer.body["jobs"])
        return [job["job_id"] for job in answer.body["jobs"]], answer.body["next_cursor"]

    assert page() == (newest_first, None)
    assert page(state="failed") == ([bad], None)
    assert page(state="running") == ([], None)
    found, cursor = page(limit="4", cursor="")
    rest, end = page(limit="4", cursor=str(cursor))
    assert (found, rest, end) == (newest_first[:4], newest_first[4:], None)
    assert page(state="succeeded", limit="5") == (newest_first[1:], None)


@pytest.mark.parametrize("query", ["state=lost", "limit=0", "limit=1001", "cursor=x", "offset=1", "limit=1&limit=2"])
def test_a_wrong_query_is_422(shared_server: Api, query: str) -> None:
    """As of the list of runs."""
    answer = shared_server.request("GET", f"{JOBS}?{query}")
    assert (answer.status, answer.locations) == (422, [["query", query.partition("=")[0]]])


@pytest.mark.parametrize("job_id", ["none", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 300, "%FF"])
def test_no_such_job_is_404(shared_server: Api, job_id: str) -> None:
    """Whatever is asked for."""
    for method in ("GET", "DELETE"):
        answer = shared_server.request(method, f"{JOBS}/{job_id}")
        assert (answer.status, list(answer.body)) == (404, ["detail"])


def test_a_full_spool_is_507(start: Start, release: Callable[[], None], tmp_path: Path) -> None:
    """The job that does not fit leaves nothing behind; there is room again when others are finished."""
    runs = [sent_run(f"{number}", input_summary="x" * 9000) for number in range(10)]
    with start(spool_bytes=100_000, spool=tmp_path / "spool") as server:
        first = send(server, lines(runs))
        assert first.status == 202
        answer = send(server, lines(runs))
        assert (answer.status, list(answer.body)) == (507, ["detail"])
        assert "spool-bytes" in answer.body["detail"]
        assert len(list((tmp_path / "spool").glob("*.body*"))) <= 1
        assert len(server.request("GET", JOBS).body["jobs"]) == 1
        assert stream(server, lines(runs)).counts == (10, 10, 0, 0)
        release()
        assert counts(finished(server, first))[:3] == (10, 0, 10)
        assert finished(server, send(server, lines(runs)))["state"] == "succeeded"


@pytest.mark.parametrize("end", ["broken", "gone"])
def test_a_body_that_ends_early_is_no_job(start: Start, tmp_path: Path, end: str) -> None:
    """It is told so if it is still there; nothing is kept of it."""
    with start(spool=tmp_path / "spool", max_streams=1) as server:
        with sending(server, Prefer="respond-async") as body:
            body.send(lines(RUNS))
            wait_until(lambda: any((tmp_path / "spool").glob("*.part")))
            if end == "broken":
                body.send_raw(b"junk\r\n")
                answer = body.answer()
                assert (answer.status, list(answer.body)) == (400, ["detail"])
        wait_until(lambda: not any((tmp_path / "spool").glob("*.part")))
        assert server.request("GET", JOBS).body["jobs"] == []
        assert server.find().body["total"] == 0
        # The place of the stream is free a moment later.
        wait_until(lambda: send(server, b"").status == 202)


def test_a_silent_body_is_no_job(start: Start) -> None:
    """It is 408, as of a stream."""
    with start(body_seconds=1) as server, sending(server, Prefer="respond-async") as body:
        body.send(lines(RUNS))
        answer = body.answer()
        assert (answer.status, list(answer.body)) == (408, ["detail"])
        assert server.request("GET", JOBS).body["jobs"] == []


def test_a_job_that_cannot_be_kept_leaves_no_file(
    connections: list[apsw.Connection], start: Start, tmp_path: Path
) -> None:
    """Its body is removed when the store fails to take the job."""
    with start(spool=tmp_path / "spool") as server:
        assert finished(server, send(server, b""))["state"] == "succeeded"
        connections[0].execute("ALTER TABLE jobs RENAME TO away")
        assert send(server, lines(RUNS)).status == 500
        connections[0].execute("ALTER TABLE away RENAME TO jobs")
        assert list((tmp_path / "spool").glob("*.part")) == []
        assert len(server.request("GET", JOBS).body["jobs"]) == 1


def test_an_accepted_job_outlives_its_server(serve: Serve) -> None:
    """What was not done when the server was stopped or killed is done by the next one."""
    body = encode("gzip", lines([sent_run(f"{number}") for number in range(20_000)]))
    with serve("--port", "0") as served:
        accepted = send(served.api, body, Content_Encoding="gzip")
        assert accepted.status == 202
        served.process.kill()
        served.process.wait()
    with serve("--port", "0") as served:
        job = finished(served.api, accepted)
        assert (job["state"], counts(job)) == ("succeeded", (20_000, 20_000, 0, 0, 20_000))


def test_head_of_jobs(server: Api) -> None:
    """What may be got may be asked for by HEAD."""
    accepted = send(server, lines(RUNS))
    finished(server, accepted)
    for path in (JOBS, accepted.headers["Location"]):
        head, whole = fetch(server, "HEAD", path), fetch(server, "GET", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Length"] == whole.headers["Content-Length"]
