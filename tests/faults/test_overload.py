"""Overload: rejected with the time to retry, in bounded memory, while the rest goes on."""

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.faults.memory import resident_bytes
from tests.figures import Figures, Scale
from tests.jobs import wait_until
from tests.servers import DEADLINE_SECONDS, Answer, Api, MakeRun, Serve, Start

QUEUE_BYTES = 2_000_000
BODY_BYTES = 100_000


def make_batch(make_run: MakeRun, number: int) -> Sequence[dict[str, Any]]:
    """Return a batch of some hundred thousand bytes."""
    return [make_run(event_id=f"{number}/{run}", input_summary="x" * (BODY_BYTES // 50)) for run in range(50)]


def upload_until_taken(api: Api, batch: Sequence[dict[str, Any]]) -> Answer:
    """Retry, as a rejected client should."""
    while (answer := api.atomic(batch)).status == 503:
        time.sleep(0.05)
    return answer


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory in /proc")
def test_a_held_store_makes_the_server_refuse_and_not_grow(
    serve: Serve, make_run: MakeRun, tmp_path: Path, scale: Scale, figures: Figures
) -> None:
    """While another process holds the lock: 503 with Retry-After, reads go on, memory is bounded, and all converges."""
    number = scale(60, 600)
    batches = [make_batch(make_run, index) for index in range(number)]
    options = ("--port", "0", "--db", "runs.db", "--max-queue-bytes", str(QUEUE_BYTES))
    with serve(*options) as served, ThreadPoolExecutor(60) as pool:
        assert served.api.find().body["total"] == 0
        before = resident_bytes(served.process.pid)
        with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            uploads: list[Future[Answer]] = [pool.submit(served.api.atomic, batch) for batch in batches]
            wait_until(lambda: any(upload.done() for upload in uploads))
            assert served.api.request("GET", "/health").status == 200
            assert served.api.find().body["total"] == 0
            assert ready_in_time(served.api).status == 503
            grown = resident_bytes(served.process.pid) - before
        answers = [upload.result(DEADLINE_SECONDS) for upload in uploads]
        refused = [answer for answer in answers if answer.status == 503]
        assert any("bytes wait" in answer.body["detail"] for answer in refused)
        assert {answer.status for answer in answers} <= {201, 503}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        retried = list(pool.map(lambda batch: upload_until_taken(served.api, batch), batches))
        assert {answer.status for answer in retried} == {201}
        assert served.api.find().body["total"] == number * 50
        assert served.api.request("GET", "/ready").status == 200
    assert grown < 64 * 1024 * 1024
    figures(
        requests=number,
        refused=len(refused),
        queue=f"{QUEUE_BYTES} bytes",
        memory_grown_by=f"{grown >> 20} MiB",
        lost=0,
    )


def ready_in_time(api: Api) -> Answer:
    """Return the response of /ready, which takes less than the ten seconds that a write waits for a lock."""
    begun = time.monotonic()
    answer = api.request("GET", "/ready")
    assert time.monotonic() - begun < 8
    return answer


def test_ready_tells_of_a_locked_store_without_waiting_for_it(start: Start, tmp_path: Path) -> None:
    """Readiness is 503 with the reason while another process holds the lock, and 200 soon after."""
    with start() as server:
        assert server.request("GET", "/ready").body == {"status": "ready"}
        with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            answers = [ready_in_time(server) for _ in range(2)]
            assert {answer.status for answer in answers} == {503}
            assert all("the database is locked" in answer.body["detail"] for answer in answers)
        wait_until(lambda: server.request("GET", "/ready").status == 200)


def test_ready_tells_of_a_full_backlog(start: Start, make_run: MakeRun, tmp_path: Path) -> None:
    """A server that would reject a write says so at once."""
    with start(max_queue_bytes=1000) as server, ThreadPoolExecutor(1) as pool:
        with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            upload = pool.submit(server.create, make_run(input_summary="x" * 2000))
            wait_until(lambda: "1000 bytes wait" in server.request("GET", "/ready").body["detail"])
            refused = server.create(make_run())
            assert refused.status == 503
            assert "more than 1000 bytes waiting" in refused.body["detail"]
        assert upload.result(DEADLINE_SECONDS).status == 201
        assert server.create(make_run()).status == 201


def test_a_body_that_grows_beyond_the_room_is_refused_on_its_way(
    start: Start, make_run: MakeRun, tmp_path: Path
) -> None:
    """A body without a length is rejected once it exceeds the room, not before and not later."""
    with start(max_queue_bytes=200_000) as server, ThreadPoolExecutor(1) as pool:
        with closing(apsw.Connection(str(tmp_path / "runs.db"))) as other:
            other.execute("BEGIN IMMEDIATE")
            upload = pool.submit(server.create, make_run(input_summary="x" * 1000))
            wait_until(lambda: server.request("GET", "/ready").status == 503)
            pieces = (b" " * 1000 for _ in range(400))
            headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
            assert server.request("POST", "/api/v1/runs", pieces, headers).status == 503
        assert upload.result(DEADLINE_SECONDS).status == 201
