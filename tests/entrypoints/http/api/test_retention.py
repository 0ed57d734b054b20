"""The retention horizon over HTTP: shown in the limits, and in force for every way in."""

from contextlib import closing
from pathlib import Path
from time import sleep

import pytest

from adapters.sqlite import SqliteStore
from core.model.run import Timestamp
from tests.http_streams import STREAM, stream
from tests.jobs import lines
from tests.metrics import scrape
from tests.servers import Api, MakeRun

HORIZON = "2026-01-31T12:00:00.5Z"
REASON = "is before the retention horizon 2026-01-31T12:00:00.500000Z"


def raise_to(db: Path, horizon: str) -> None:
    """Raise the horizon as another process does."""
    with closing(SqliteStore(db)) as store, store.unit_of_work() as work:
        work.runs.raise_retention_horizon(Timestamp(horizon))
        work.commit()


@pytest.fixture
def pruned(server: Api, tmp_path: Path) -> Api:
    """Return a server whose store has a horizon that was raised while it was running."""
    assert server.request("GET", "/api/v1/limits").body["retention_horizon"] is None
    raise_to(tmp_path / "runs.db", "2026-01-31T12:00:00.500000Z")
    return server


def test_the_limits_tell_the_horizon_of_the_store(pruned: Api, tmp_path: Path) -> None:
    """It is shown as times are: with six digits, or without a fraction."""
    assert pruned.request("GET", "/api/v1/limits").body["retention_horizon"] == "2026-01-31T12:00:00.500000Z"
    raise_to(tmp_path / "runs.db", "2026-02-01T00:00:00.000000Z")
    assert pruned.request("GET", "/api/v1/limits").body["retention_horizon"] == "2026-02-01T00:00:00Z"


def test_uploads_reject_what_starts_earlier(pruned: Api, make_run: MakeRun) -> None:
    """Lenient, atomic and single uploads name field and reason; a run at the horizon is stored."""
    old, new = make_run(start_time="2026-01-31T12:00:00.499999Z"), make_run(start_time=HORIZON)
    lenient = pruned.lenient([new, old])
    assert (lenient.status, lenient.counts, lenient.bad_fields) == (500, (2, 1, 0, 1), {(1, "start_time")})
    error = {"event_id": old["event_id"], "run_id": old["run_id"], "field": "start_time", "retryable": False}
    assert lenient.body["errors"] == [{"index": 1, "error": f"start_time {REASON}", **error}]
    atomic = pruned.atomic([make_run(start_time=HORIZON), old])
    assert (atomic.status, atomic.counts, atomic.bad_fields) == (400, (2, 0, 0, 2), {(1, "start_time")})
    assert atomic.body["errors"] == lenient.body["errors"]
    everyone = pruned.lenient([old])
    assert (everyone.status, everyone.locations) == (422, [["body", "runs", 0, "start_time"]])
    single = pruned.create(old)
    assert (single.status, single.locations) == (422, [["body", "start_time"]])
    assert REASON in single.body["detail"][0]["msg"]
    scraped = scrape(pruned.url)
    failed = {way: scraped.value("runsink_runs_total", endpoint=way, outcome="failed") for way in ("lenient", "single")}
    assert failed == {"lenient": 2, "single": 1}
    assert pruned.find().event_ids == [new["event_id"]]


def test_streams_and_jobs_reject_what_starts_earlier(pruned: Api, make_run: MakeRun) -> None:
    """The line is named, and the rest of the stream is stored."""
    old, new = make_run(start_time="2026-01-31T11:00:00Z"), make_run(start_time=HORIZON)
    body = lines([old, new])
    told = stream(pruned, body)
    assert (told.status, told.counts) == (200, (2, 1, 0, 1))
    assert [(error["line"], error["error"]) for error in told.body["errors"]] == [(1, f"start_time {REASON}")]
    accepted = pruned.send("POST", STREAM, body, Content_Type="application/x-ndjson", Prefer="respond-async")
    job = accepted
    while job.body["state"] not in {"succeeded", "failed"}:
        sleep(0.01)
        job = pruned.request("GET", accepted.headers["Location"])
    assert (job.body["state"], job.counts) == ("succeeded", (2, 0, 1, 1))
    assert [error["line"] for error in job.body["errors"]] == [1]


def test_a_run_that_is_still_stored_can_be_read_and_changed(server: Api, make_run: MakeRun, tmp_path: Path) -> None:
    """Until it is deleted, only uploading it again is rejected."""
    run = make_run()
    assert server.create(run).status == 201
    raise_to(tmp_path / "runs.db", "2026-02-01T00:00:00.000000Z")
    assert server.create(run).status == 422
    assert server.patch(run["event_id"], {"status": "success"}).status == 200
    assert server.stored(run["event_id"])["status"] == "success"
