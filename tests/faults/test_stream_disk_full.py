"""A disk that fills up during a stream, while a job is spooled and while it runs: said, then resumed or cleared."""

import gzip
import http.client
import json
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults import streams
from tests.faults.streams import Sender, counts
from tests.faults.test_disk_full import fill, limit_files, small_disk, wait_until_ready
from tests.figures import Figures, Scale
from tests.jobs import lines, sent_run, wait_until
from tests.servers import Api, Serve, Served

__all__ = ["small_disk"]  # a fixture

RUNS = 3_000
DISK_MIB = 160
ROOM_FOR_A_PART = 12 * 1024 * 1024


def body_of(name: str) -> bytes:
    """Lines that are heavy enough for the disk to fill up in the middle."""
    return lines([sent_run(f"{name}-{number:05}", input_summary="x" * 8_000) for number in range(RUNS)])


@contextmanager
def complaining(served: Served) -> Iterator[Api]:
    """A server that may say in its log that the disk is full, and ends with 0."""
    yield served.api
    served.process.send_signal(signal.SIGTERM)
    status, complaints = served.wait()
    assert status == 0
    assert complaints == "" or "the disk is full" in complaints.splitlines()[-1], complaints


def test_a_disk_that_fills_up_in_a_stream(
    small_disk: Callable[[int], Path],
    serve: Serve,
    scale: Scale,
    figures: Figures,
) -> None:
    """The stream ends with 507 and says what is durable, which it is; once there is room, resending completes it."""
    disk, kept, times = small_disk(DISK_MIB), 0, scale(2, 100)
    database = disk / "runs.db"
    body = body_of("one")
    for _ in range(times):
        with serve("--port", "0", "--db", str(database)) as served, complaining(served) as api:
            status, told, ballast = send_until_full(api, body, disk)
            assert status == 507, told
            assert "disk is full" in told["detail"]
            assert 0 < told["last_line"] < RUNS
            kept += told["created"]
            assert len(streams.stored_ids(database)) == told["created"] == told["last_line"]
            ballast.unlink()
            wait_until_ready(api)
            answer = streams.post(api, body)
            assert answer.status == 200
            assert counts(answer.body) == (RUNS, RUNS - told["created"], told["created"], 0)
        assert len(streams.stored_ids(database)) == RUNS
        for left in disk.glob("runs.db*"):
            left.unlink()
    figures(times=times, kept=kept, lost=0, doubled=0)


def send_until_full(api: Api, body: bytes, disk: Path) -> tuple[int, dict[str, Any], Path]:
    """Send half of a stream, fill the disk, and send the rest; the status, the document and the ballast."""
    with closing(Sender.begin(api, "Accept: application/x-ndjson", "Connection: close")) as sender:
        middle = len(body) // 2
        sender.send(body[:middle])
        response = http.client.HTTPResponse(sender.connection)
        response.begin()
        response.readline()
        ballast = fill(disk)
        with suppress(OSError):
            sender.send(body[middle:])
            sender.finish()
        told: dict[str, Any] = {}
        for line in response:
            told = json.loads(line)
    return told["status"], told, ballast


def test_a_disk_that_fills_up_while_a_job_is_spooled(
    small_disk: Callable[[int], Path],
    serve: Serve,
    tmp_path: Path,
    scale: Scale,
    figures: Figures,
) -> None:
    """The body is refused with 507 and leaves nothing; everything else goes on, and later it is taken."""
    disk, times = small_disk(DISK_MIB), scale(3, 100)
    options = ("--port", "0", "--db", str(tmp_path / "runs.db"), "--spool", str(disk / "spool"))
    with serve(*options) as served, complaining(served) as api:
        for cycle in range(times):
            body = body_of(f"{cycle:03}")
            with closing(Sender.begin(api, "Prefer: respond-async", "Connection: close")) as sender:
                sender.send(body[: len(body) // 2])
                wait_until(lambda: list((disk / "spool").glob("*.part")))
                ballast = fill(disk)
                with suppress(OSError):
                    sender.send(body[len(body) // 2 :])
                    sender.finish()
                status, (told,) = sender.answer()
            assert (status, "disk" in told["detail"]) == (507, True)
            assert not list((disk / "spool").glob("*.part")) + list((disk / "spool").glob("*.body"))
            assert streams.post(api, lines([sent_run(f"{cycle}-other")])).status == 200
            ballast.unlink()
            shown = streams.wait_for_job(api, streams.post_job(api, body))
            assert (shown["state"], *counts(shown)) == ("succeeded", RUNS, RUNS, 0, 0)
    assert len(streams.stored_ids(tmp_path / "runs.db")) == times * (RUNS + 1)
    figures(times=times, refused=times)


def test_a_disk_that_fills_up_while_a_job_runs(
    small_disk: Callable[[int], Path],
    serve: Serve,
    tmp_path: Path,
    figures: Figures,
) -> None:
    """The job waits, says so in the log, and goes on by itself at the next line once there is room."""
    disk = small_disk(DISK_MIB)
    options = ("--port", "0", "--db", str(disk / "runs.db"), "--spool", str(tmp_path / "spool"))
    with serve(*options) as served, complaining(served) as api:
        ballast = fill(disk, leaving=ROOM_FOR_A_PART)
        job_id = streams.post_job(api, body_of("job"))
        wait_until(lambda: api.request("GET", "/ready").status == 503)
        waiting = streams.job(api, job_id)
        ballast.unlink()
        shown = streams.wait_for_job(api, job_id)
        assert (shown["state"], *counts(shown)) == ("succeeded", RUNS, RUNS, 0, 0)
    assert waiting["state"] == "running"
    assert 0 < waiting["last_line"] < RUNS
    assert len(streams.stored_ids(disk / "runs.db")) == RUNS
    figures(waited_at_line=waiting["last_line"])


def waits_or_is_done(api: Api, job_id: str) -> bool:
    """Whether the server found that there is no room, or the job needed none."""
    return api.request("GET", "/ready").status == 503 or streams.job(api, job_id)["state"] == "succeeded"


def test_a_limit_on_the_size_of_files_in_a_job(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """The same where the process may not write larger files, also with a kill while the job waits."""
    cycles, database = scale(3, 100), tmp_path / "runs.db"
    at = []
    for cycle in range(cycles):
        with serve("--port", "0", "--db", str(database)) as served:
            # The body fits into the spool, being compressed; what it unfolds to does not fit into the WAL.
            body = gzip.compress(body_of(f"{cycle:03}"), 1)
            size = max(file.stat().st_size for file in tmp_path.glob("runs.db*") if file.is_file())
            limit_files(served.process.pid, size + 4_000_000)
            job_id = streams.post_job(served.api, body, {"Content-Encoding": "gzip"})
            wait_until(partial(waits_or_is_done, served.api, job_id))
            at.append(streams.job(served.api, job_id)["last_line"])
            if cycle % 2:
                limit_files(served.process.pid, resource.RLIM_INFINITY)
                assert streams.wait_for_job(served.api, job_id)["state"] == "succeeded"
            served.process.kill()
            served.process.wait()
        with serve("--port", "0", "--db", str(database)) as served:
            shown = streams.wait_for_job(served.api, job_id)
            assert (shown["state"], *counts(shown)) == ("succeeded", RUNS, RUNS, 0, 0)
    assert len(streams.stored_ids(database)) == cycles * RUNS
    assert at[0] < RUNS
    figures(cycles=cycles, waited_at_lines=at, lost=0, doubled=0)


def test_a_full_spool_is_507_and_is_freed_by_the_end_of_its_jobs(serve: Serve, tmp_path: Path) -> None:
    """``spool-bytes`` bounds all bodies together; a body that does not fit leaves nothing."""
    body = body_of("one")
    with serve("--port", "0", "--db", str(tmp_path / "runs.db"), "--spool-bytes", str(len(body) + 10_000)) as served:
        answer = streams.post(served.api, body * 2, streams.ASYNC)
        assert (answer.status, "spool" in answer.body["detail"]) == (507, True)
        assert not [path for path in (tmp_path / "runs.db-spool").iterdir() if path.suffix in {".part", ".body"}]
        for _ in range(2):
            assert streams.wait_for_job(served.api, streams.post_job(served.api, body))["state"] == "succeeded"
            wait_until(lambda: not list((tmp_path / "runs.db-spool").glob("*.body")))
