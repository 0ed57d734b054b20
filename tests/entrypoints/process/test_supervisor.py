"""``runsink serve --workers``: several processes behind one address, and their supervisor."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import apsw
import pytest

from adapters.sqlite import SqliteStore
from tests.servers import DEADLINE_SECONDS, Finish, MakeRun, Serve, Served

OPTIONS = ("--port", "0", "--workers", "2")


def workers(served: Served) -> set[int]:
    """Return the process IDs of the workers, once the server listens."""
    assert served.first_line
    return children(served)


def children(served: Served) -> set[int]:
    """Return the process IDs of the workers so far."""
    pid = served.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


def attempts() -> Iterator[None]:
    """Yield repeatedly until the test's deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        yield
        time.sleep(0.02)
    pytest.fail("it did not happen in time")


def sockets(pid: int) -> int:
    """Return how many sockets a process has open."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it may have been closed meanwhile
            found += str(descriptor.readlink()).startswith("socket:")
    return found


def wait_for_replacement(served: Served, killed: int) -> None:
    """Wait until there are two workers again."""
    for _ in attempts():
        if killed not in workers(served) and len(workers(served)) == 2:
            return


def processor_ticks(pid: int) -> int:
    """Return a process's CPU time (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_workers_share_one_store(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """Overlapping uploads create each key once; the server exits with 0, without output, and leaves no WAL."""
    runs = [make_run(event_id=f"e{number}") for number in range(200)]
    batches = [(runs + runs)[start : start + 50] for start in range(0, 200, 10)] * 2
    with serve(*OPTIONS) as served, ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(served.api.lenient, batches))
        assert {answer.status for answer in answers} == {201}
        assert sum(answer.body["created"] for answer in answers) == 200
        assert sorted(served.api.find(limit=1000).event_ids) == sorted(run["event_id"] for run in runs)
        assert served.end() == (0, "")
    assert [path.name for path in tmp_path.iterdir()] == ["runsink.db"]


def test_work_is_shared(serve: Serve, make_run: MakeRun) -> None:
    """Every worker gets a share of many connections, even if all arrive at once."""
    batch = [make_run(event_id=f"e{number}") for number in range(100)]
    with serve(*OPTIONS) as served, ThreadPoolExecutor(8) as clients:
        before = {pid: processor_ticks(pid) for pid in workers(served)}
        for _ in attempts():
            assert {answer.status for answer in clients.map(served.api.lenient, [batch] * 40)} == {201}
            worked = [processor_ticks(pid) - ticks for pid, ticks in before.items()]
            if sum(worked) > 50:
                break
        assert min(worked) > sum(worked) / 20


def test_few_connections_are_spread_evenly(serve: Serve) -> None:
    """Each worker gets the same number, nearly every time: on a busy machine one may come too late for its turn."""
    with serve("--port", "0", "--workers", "3") as served:
        before = {pid: sockets(pid) for pid in workers(served)}
        address = urlsplit(served.api.url)
        even = 0
        for _ in range(20):
            with ExitStack() as stack:
                for _ in range(6):
                    connection = stack.enter_context(closing(HTTPConnection(address.netloc, timeout=DEADLINE_SECONDS)))
                    connection.request("GET", "/health")
                    assert connection.getresponse().read()
                even += [sockets(pid) - number for pid, number in before.items()] == [2, 2, 2]
            for _ in attempts():
                if all(sockets(pid) == number for pid, number in before.items()):
                    break
        assert even >= 10


def test_killed_worker_is_replaced(serve: Serve, make_run: MakeRun) -> None:
    """What a killed worker acknowledged is stored, another replaces it, and the log says so."""
    with serve(*OPTIONS) as served:
        stored = [served.api.create(make_run()).body for _ in range(5)]
        killed = min(workers(served))
        os.kill(killed, signal.SIGKILL)
        wait_for_replacement(served, killed)
        assert served.api.lenient(stored).counts == (5, 0, 5, 0)
        assert served.end() == (0, f"worker {killed} exited with status -9; starting another\n")


def test_replacement_opens_the_same_file(serve: Serve, make_run: MakeRun, tmp_path: Path) -> None:
    """All workers use one file, private to its owner, even if the link that named it has changed."""
    (tmp_path / "link.db").symlink_to("first.db")
    with serve(*OPTIONS, "--db", "link.db") as served:
        stored = served.api.create(make_run()).body
        (tmp_path / "link.db").unlink()
        (tmp_path / "link.db").symlink_to("second.db")
        killed = min(workers(served))
        os.kill(killed, signal.SIGKILL)
        wait_for_replacement(served, killed)
        for _ in range(20):
            assert served.api.lenient([stored]).counts == (1, 0, 1, 0)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("first.db*")} == {0o600}
        assert served.end()[0] == 0
    assert not (tmp_path / "second.db").exists()


def test_worker_that_cannot_start_ends_the_server(serve: Serve, tmp_path: Path) -> None:
    """If a replacement cannot open the store, the server exits with 1 and says why, instead of retrying forever."""
    with serve(*OPTIONS) as served:
        killed = min(workers(served))
        (tmp_path / "runsink.db").rename(tmp_path / "moved.db")
        (tmp_path / "runsink.db").write_text("no database")
        os.kill(killed, signal.SIGKILL)
        status, complaints = served.wait()
        assert status == 1
        assert "the file is not an SQLite database" in complaints
        assert "a worker exited with status 1 before it was ready; stopping" in complaints


def test_workers_end_with_their_supervisor(serve: Serve) -> None:
    """Workers whose supervisor was killed exit by themselves instead of holding the address and the file."""
    with serve(*OPTIONS) as served:
        orphans = workers(served)
        served.process.kill()
        served.process.wait()
        for _ in attempts():
            if not any(Path(f"/proc/{pid}").exists() for pid in orphans):
                break


def test_interrupt_ends_all(serve: Serve) -> None:
    """Ctrl-C reaches every process of the terminal's group, the workers twice; all exit cleanly without output."""
    with serve(*OPTIONS) as served:
        crew = workers(served)
        served.process.send_signal(signal.SIGINT)
        for pid in crew:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        assert served.wait() == (0, "")
        assert served.process.returncode == 0


_INTERRUPTED_WHILE_ANNOUNCING: Final = """
import multiprocessing, os, signal, sys, time
from entrypoints.cli import serve as command
from entrypoints.settings import Settings

def announce(service, *, opens):
    os.kill(os.getpid(), signal.SIGINT)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, signal.SIGINT)
        worker.join()

command._announce = announce
command.serve(Settings(db=sys.argv[1], port=0, workers=2), opens=False)
"""


def test_interrupt_while_the_server_announces_itself_replaces_no_worker(tmp_path: Path) -> None:
    """The workers are gone before the supervisor looks at its own signal."""
    command = [sys.executable, "-c", _INTERRUPTED_WHILE_ANNOUNCING, str(tmp_path / "runs.db")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert ended.returncode == 0
    assert "starting another" not in ended.stderr


def test_unusable_store_is_said_once(finish: Finish, tmp_path: Path) -> None:
    """An unusable file ends the command with one line, before there are workers."""
    (tmp_path / "x.db").write_text("no database")
    ended = finish("serve", *OPTIONS, "--db", "x.db")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch("runsink: cannot use .*x.db: the file is not an SQLite database; name another\n", ended.stderr)


@pytest.mark.parametrize("number", ["-1", "0", "65", "100000"])
def test_number_of_workers_is_checked(finish: Finish, number: str) -> None:
    """Fewer than one worker is rejected, and so is an absurd number."""
    ended = finish("serve", "--workers", number)
    assert ended.returncode == 2
    assert ended.stderr == f"runsink: --workers: workers must be from 1 to 64, not {number}\n"


def test_signal_while_workers_start_ends_the_server_at_once(serve: Serve) -> None:
    """SIGTERM does not wait until all workers are ready: the server exits with 0 and never says that it listens."""
    with serve("--port", "0", "--workers", "64") as served:
        for _ in attempts():
            if children(served):
                break
        served.process.send_signal(signal.SIGTERM)
        assert served.wait() == (0, "")
        assert served.process.returncode == 0


def test_worker_that_hangs_before_it_is_ready_holds_nothing_up(serve: Serve, tmp_path: Path) -> None:
    """While a replacement waits for the store, the others serve, and SIGTERM stops all of them cleanly."""
    with serve(*OPTIONS) as served:
        killed, other = sorted(workers(served))
        (tmp_path / "runsink.db").rename(tmp_path / "moved.db")
        SqliteStore(tmp_path / "runsink.db").close()
        with closing(apsw.Connection(str(tmp_path / "runsink.db"))) as locking:
            locking.pragma("locking_mode", "exclusive")
            locking.execute("BEGIN EXCLUSIVE")
            os.kill(killed, signal.SIGKILL)
            wait_for_replacement(served, killed)
            assert served.api.request("GET", "/health").status == 200
            assert other in workers(served)
            assert served.end() == (0, f"worker {killed} exited with status -9; starting another\n")


def test_stuck_worker_is_killed_when_the_time_to_drain_is_over(serve: Serve) -> None:
    """A worker that does not respond to SIGTERM is killed; the server exits with 1 and says so."""
    with serve(*OPTIONS, "--drain-seconds", "4") as served:
        stuck = min(workers(served))
        os.kill(stuck, signal.SIGSTOP)
        try:
            assert served.end() == (1, f"worker {stuck} did not exit in time (drain-seconds); killing it\n")
        finally:
            with suppress(ProcessLookupError):
                os.kill(stuck, signal.SIGKILL)


def test_tokens_are_read_again_by_all(serve: Serve, tmp_path: Path) -> None:
    """After SIGHUP every worker, including later ones, knows only the new tokens."""
    old, new = ({"Authorization": f"Bearer {letter * 20}"} for letter in "on")
    (tmp_path / "tokens").write_text("all write " + "o" * 20)
    (tmp_path / "tokens").chmod(0o600)
    with serve(*OPTIONS, "--token-file", "tokens") as served:
        assert served.api.request("GET", "/api/v1/limits", headers=old).status == 200
        (tmp_path / "tokens").write_text("all write " + "n" * 20)
        served.process.send_signal(signal.SIGHUP)
        for _ in attempts():
            if all(served.api.request("GET", "/api/v1/limits", headers=new).status == 200 for _ in range(20)):
                break
        killed = min(workers(served))
        os.kill(killed, signal.SIGKILL)
        wait_for_replacement(served, killed)
        assert {served.api.request("GET", "/api/v1/limits", headers=old).status for _ in range(40)} == {401}
        assert served.end()[0] == 0
