"""A full disk, and a file size limit, under a real server.

Every write gets a response, reads go on, and writes resume by themselves once there is room.
"""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

import apsw
import attrs
import pytest

from tests.figures import Figures, Scale
from tests.jobs import wait_until
from tests.metrics import scrape
from tests.servers import DEADLINE_SECONDS, Answer, Api, Finish, MakeRun, Serve

MIB = 1024 * 1024
NO_ROOM = {503, 507}


@attrs.define
class Ledger:
    """What clients sent and were told."""

    make_run: MakeRun
    told: set[str] = attrs.Factory(set)
    atomic: list[set[str]] = attrs.Factory(list)
    answers: dict[int, int] = attrs.Factory(dict)
    _lock: Lock = attrs.Factory(Lock)

    def upload(self, server: Api, endpoint: str, number: int, size: int) -> int:
        """Upload a batch and record the outcome; return the status."""
        runs = [self.make_run(input_summary="x" * size) for _ in range(number)]
        keys = {run["event_id"] for run in runs}
        answer = server.upload(endpoint, runs, Prefer="return=minimal")
        with self._lock:
            self.note(answer)
            if endpoint == "batch-transactional":
                self.atomic.append(keys)
            if answer.status == 201:
                self.told |= keys
        return answer.status

    def note(self, answer: Answer) -> None:
        """Check that every response is JSON, and that a write without room says what is wrong."""
        self.answers[answer.status] = self.answers.get(answer.status, 0) + 1
        assert answer.status in {200, 201, *NO_ROOM}, answer
        if answer.status in NO_ROOM:
            assert "disk is full" in answer.body["detail"], answer

    def check(self, path: Path) -> None:
        """The file is intact, has everything acknowledged, and every atomic batch whole or not at all."""
        with closing(apsw.Connection(str(path))) as connection:
            assert connection.pragma("integrity_check") == "ok"
            rows = connection.execute("SELECT event_id FROM runs").fetchall()
        found = {key for (key,) in rows}
        assert len(rows) == len(found)
        assert self.told <= found
        assert all(batch <= found or not batch & found for batch in self.atomic)


@pytest.fixture
def ledger(make_run: MakeRun) -> Ledger:
    """Nothing sent yet."""
    return Ledger(make_run)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of this many MiB."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(size: int) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("a small disk can only be mounted by root, and where mounting is allowed")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, *, leaving: int = 0) -> Path:
    """Fill the disk but for ``leaving`` bytes; removing the returned file frees some room."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (MIB, 4_096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
        file.truncate(file.tell() - leaving)
    assert shutil.disk_usage(disk).free < leaving + 4_096
    return ballast


def wait_until_ready(server: Api) -> float:
    """Wait until the server is ready; return the seconds that took."""
    start = time.monotonic()
    while server.request("GET", "/ready").status != 200:
        assert time.monotonic() < start + DEADLINE_SECONDS
        time.sleep(0.05)
    return time.monotonic() - start


def write_in_every_way(server: Api, ledger: Ledger, known: dict[str, Any]) -> None:
    """Upload large batches of both kinds, which find no room, and small ones and changes, which may."""
    assert ledger.upload(server, "batch", 50, 60_000) in NO_ROOM
    assert ledger.upload(server, "batch-transactional", 50, 60_000) in NO_ROOM
    ledger.upload(server, "batch", 1, 100)
    ledger.upload(server, "batch-transactional", 3, 100)
    run = ledger.make_run()
    answer = server.create(run)
    ledger.note(answer)
    if answer.status == 201:
        ledger.told.add(run["event_id"])
    ledger.note(server.patch(known["event_id"], {"output_summary": "y" * 50_000}))
    ledger.note(server.commit(known["event_id"], {"commit_hash": "abcdef1", "commit_source": "ci"}))


def assert_reads_work(server: Api, known: dict[str, Any]) -> None:
    """Lists, runs, metadata and health still work, and readiness says why not."""
    assert server.get(known["run_id"]).body["event_id"] == known["event_id"]
    assert server.find(limit=10).status == 200
    assert server.request("GET", "/api/v1/metadata").status == 200
    assert server.request("GET", "/health").status == 200
    answer = server.request("GET", "/ready")
    assert (answer.status, answer.body) == (503, {"detail": "the disk is full"})
    assert "Retry-After" in answer.headers


def go_without_room(server: Api, ledger: Ledger, known: dict[str, Any], rounds: int) -> None:
    """Let several clients write and read without room."""
    with ThreadPoolExecutor(3) as pool:
        for _ in range(rounds):
            done = [pool.submit(write_in_every_way, server, ledger, known) for _ in range(3)]
            for future in done:
                future.result()
            assert_reads_work(server, known)


def test_a_full_disk(
    small_disk: Callable[[int], Path], serve: Serve, ledger: Ledger, scale: Scale, figures: Figures
) -> None:
    """A disk repeatedly becomes full and gets room again."""
    disk = small_disk(100)
    times = scale(2, 30)
    waited = []
    with serve("--port", "0", "--db", str(disk / "runs.db")) as served:
        server = served.api
        known = ledger.make_run(run_id="known")
        assert server.create(known).status == 201
        ledger.told.add(known["event_id"])
        for _ in range(times):
            assert ledger.upload(server, "batch", 20, 5_000) == 201
            ballast = fill(disk)
            go_without_room(server, ledger, known, 2)
            ballast.unlink()
            waited.append(wait_until_ready(server))
            assert ledger.upload(server, "batch-transactional", 20, 5_000) == 201
        assert served.end() == (0, "")
    ledger.check(disk / "runs.db")
    figures(
        times=times, answers=ledger.answers, acknowledged=len(ledger.told), lost=0, longest_wait=f"{max(waited):.2f} s"
    )


def test_refused_runs_leave_the_last_room_to_the_runs(
    small_disk: Callable[[int], Path], serve: Serve, make_run: MakeRun
) -> None:
    """Uploads go on where no refused run is kept any more, and once there is room these are kept again."""
    disk = small_disk(100)
    with serve("--port", "0", "--db", str(disk / "runs.db"), "--keep-refusals", "100") as served:

        def upload_both(name: str) -> None:
            answer = served.api.lenient([make_run(), make_run(event_id=name, status="lost")])
            assert answer.counts == (2, 1, 0, 1)

        def kept() -> set[str]:
            return {one["event_id"] for one in served.api.request("GET", "/api/v1/refusals").body["refusals"]}

        upload_both("before")
        wait_until(lambda: kept() == {"before"})
        ballast = fill(disk, leaving=20 * MIB)
        upload_both("without room")
        assert "less than 64 MiB free" in served.next_complaint()
        assert kept() == {"before"}
        ballast.unlink()
        upload_both("after")
        wait_until(lambda: kept() == {"before", "after"})
        assert scrape(served.api.url).value("runsink_refusals_dropped_total") == 1
        assert served.end() == (0, "")


def test_a_limit_on_the_size_of_files(
    serve: Serve, tmp_path: Path, ledger: Ledger, scale: Scale, figures: Figures
) -> None:
    """The same with a file size limit: SQLite calls that an I/O error, we report a full disk."""
    times = scale(2, 30)
    waited = []
    path = tmp_path / "runs.db"
    with serve("--port", "0", "--db", str(path)) as served:
        server = served.api
        known = ledger.make_run(run_id="known")
        assert server.create(known).status == 201
        ledger.told.add(known["event_id"])
        for _ in range(times):
            assert ledger.upload(server, "batch", 20, 5_000) == 201
            limit_files(served.process.pid, max(file.stat().st_size for file in tmp_path.glob("runs.db*")))
            go_without_room(server, ledger, known, 2)
            limit_files(served.process.pid, resource.RLIM_INFINITY)
            waited.append(wait_until_ready(server))
            assert ledger.upload(server, "batch-transactional", 20, 5_000) == 201
        assert served.end() == (0, "")
    ledger.check(path)
    figures(
        times=times, answers=ledger.answers, acknowledged=len(ledger.told), lost=0, longest_wait=f"{max(waited):.2f} s"
    )


def limit_files(pid: int, size: int) -> None:
    """Limit the size of files that a process may write."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))


def test_a_disk_with_little_room_is_refused_at_the_start(small_disk: Callable[[int], Path], finish: Finish) -> None:
    """One line says how much is free and how much is needed, and nothing is created."""
    disk = small_disk(32)
    ended = finish("serve", "--port", "0", "--db", str(disk / "runs.db"))
    assert ended.returncode == 1
    assert ended.stderr.endswith("its disk has 32.0 MiB free but 64 MiB are required; free up space\n")
    assert list(disk.iterdir()) == []


def test_the_room_of_the_file_counts_and_not_that_of_a_link(
    small_disk: Callable[[int], Path], finish: Finish, tmp_path: Path
) -> None:
    """A link on a large disk does not hide that its file is on a small one."""
    disk = small_disk(32)
    (tmp_path / "link.db").symlink_to(disk / "runs.db")
    ended = finish("serve", "--port", "0", "--db", "link.db")
    assert ended.returncode == 1
    assert ended.stderr.endswith("its disk has 32.0 MiB free but 64 MiB are required; free up space\n")
    assert list(disk.iterdir()) == []
