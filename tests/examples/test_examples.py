"""The examples do what they say, against the installed product."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LAUNCH_FILE = EXAMPLES / "launch.json"
BROKEN = 6
TIMEOUT_SECONDS = 30

Run = dict[str, Any]
Answer = tuple[int, dict[str, str], dict[str, Any]]

ALL_STORED = {"runs": [], "total": 2, "created": 1, "existing": 1, "failed": 0, "errors": [], "conflicts": []}


def environment(**variables: str) -> dict[str, str]:
    """The environment of this process without what would steer the server or lead the client astray."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNSINK_")}
    return kept | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONWARNINGS": "error"} | variables


def run_example(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example as a user does."""
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env=environment(**variables),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """The runs of the launch file."""
    loaded: list[Run] = json.loads(LAUNCH_FILE.read_text(encoding="utf-8"))["runs"]
    return loaded


@pytest.fixture(scope="module")
def good(runs: list[Run]) -> list[Run]:
    """Those that are not broken on purpose."""
    return [run for run in runs if "broken_on_purpose" not in run.get("extra", {})]


@pytest.fixture
def server_url(tmp_path: Path) -> Iterator[str]:
    """The address of a server with an empty store."""
    script = Path(sys.executable).with_name("runsink")
    command = [str(script), "serve", "--host", "127.0.0.1", "--port", "0", "--db", str(tmp_path / "runs.db")]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://[^\s,]+", process.stdout.readline())
            assert found is not None
            yield found[0]
        finally:
            process.terminate()


@pytest.fixture
def scripted_server() -> Iterator[Callable[..., tuple[str, list[bytes]]]]:
    """Start a server that gives the answers in turn, the last one for ever; it collects the bodies sent to it."""
    servers: list[HTTPServer] = []

    def start(*answers: Answer) -> tuple[str, list[bytes]]:
        bodies: list[bytes] = []
        server = HTTPServer(("127.0.0.1", 0), scripted_handler(answers, bodies))
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}", bodies

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def scripted_handler(answers: tuple[Answer, ...], bodies: list[bytes]) -> type[BaseHTTPRequestHandler]:
    """A handler over the answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Take the body and give the next answer."""
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, body = answers[min(len(bodies), len(answers)) - 1]
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Keep quiet."""

    return Handler


@pytest.fixture
def small_file(tmp_path: Path, make_run: Callable[..., Run]) -> Path:
    """A file of two good runs."""
    path = tmp_path / "small.json"
    path.write_text(json.dumps({"runs": [make_run(), make_run()]}), encoding="utf-8")
    return path


def test_generator_reproduces_the_committed_file() -> None:
    """Byte for byte, whatever the hash seed and the encoding of the terminal."""
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "make_launch.py")],
            env=environment(PYTHONHASHSEED=hash_seed, PYTHONIOENCODING="ascii"),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=True,
        )
        assert done.stdout == LAUNCH_FILE.read_bytes()


def test_launch_has_the_intended_size(runs: list[Run], good: list[Run]) -> None:
    """Some hundred runs, six of them broken."""
    assert 300 <= len(runs) <= 400
    assert len(runs) - len(good) == BROKEN
    assert LAUNCH_FILE.stat().st_size < 500_000


def test_launch_is_broken_in_six_different_ways(runs: list[Run]) -> None:
    """No two runs are broken alike."""
    ways = Counter(run["extra"]["broken_on_purpose"] for run in runs if "extra" in run)
    assert set(ways.values()) == {1}
    assert len(ways) == BROKEN


def test_ids_are_unique(runs: list[Run]) -> None:
    """No run stands twice in the file."""
    for name in ("event_id", "run_id"):
        assert len({run[name] for run in runs}) == len(runs)


def test_good_runs_form_one_tree(good: list[Run]) -> None:
    """Only the launch has no parent, and every parent is in the file and good."""
    known = {run["run_id"] for run in good}
    assert [run["run_id"] for run in good if run.get("parent_run_id") is None] == ["docs-20260131-0900"]
    assert {run["parent_run_id"] for run in good if "parent_run_id" in run} <= known


def test_some_children_come_before_and_some_after_their_parents(good: list[Run]) -> None:
    """The order of arrival is mixed."""
    places = {run["run_id"]: place for place, run in enumerate(good)}
    before = [places[run["run_id"]] < places[run["parent_run_id"]] for run in good if "parent_run_id" in run]
    assert any(before)
    assert not all(before)


def test_times_durations_and_counts_agree(good: list[Run]) -> None:
    """What is said twice is said alike."""
    for run in good:
        if run["status"] != "running":
            lasted = datetime.fromisoformat(run["end_time"]) - datetime.fromisoformat(run["start_time"])
            assert lasted == timedelta(milliseconds=run["duration_ms"])
        if "items_discovered" in run:
            parts = run["items_succeeded"], run["items_failed"], run["items_skipped"]
            assert sum(parts) == run["items_discovered"]
            assert min(parts) >= 0


def test_children_run_within_their_parents(good: list[Run]) -> None:
    """No child starts before its parent or outlives it."""
    by_name = {run["run_id"]: run for run in good}
    for run in good:
        parent = by_name.get(run.get("parent_run_id", ""))
        if parent is not None and run["status"] != "running":
            assert datetime.fromisoformat(parent["start_time"]) <= datetime.fromisoformat(run["start_time"])
            assert datetime.fromisoformat(run["end_time"]) <= datetime.fromisoformat(parent["end_time"])


def test_launch_has_every_status(good: list[Run]) -> None:
    """All statuses, an alias, and exactly one run that is still running."""
    counts = Counter(run["status"] for run in good)
    assert set(counts) >= {"success", "failure", "partial", "timeout", "cancelled", "completed"}
    assert counts["running"] == 1


def test_demo_goes_through_and_prints_the_counts(runs: list[Run], tmp_path: Path) -> None:
    """It exits with 0 and leaves no file."""
    done = run_example("demo.py", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    total, good = len(runs), len(runs) - BROKEN
    assert f"HTTP 500: {total} runs, {good} created, 0 existing, {BROKEN} failed" in done.stdout
    assert f"HTTP 400: {total} runs, 0 created, 0 existing, {total} failed" in done.stdout
    assert f"HTTP 201: {good} runs, 0 created, {good} existing, 0 failed" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_demo_leaves_nothing_behind(number: signal.Signals, tmp_path: Path) -> None:
    """Neither a file nor a server."""
    with subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLES / "demo.py")],
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("runsink listens on"):
                break
        process.send_signal(number)
        # The server writes to the same pipe for its errors, so the end of the output is its end as well.
        rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 128 + number, rest
    assert list(tmp_path.iterdir()) == []


def test_demo_fails_when_a_step_does_not_go_as_expected(tmp_path: Path) -> None:
    """With one broken run more than announced, it must not claim success."""
    for name in ("demo.py", "upload.py"):
        (tmp_path / name).write_bytes((EXAMPLES / name).read_bytes())
    content = LAUNCH_FILE.read_text(encoding="utf-8").replace('"status":"cancelled"', '"status":"lost"', 1)
    (tmp_path / "launch.json").write_text(content, encoding="utf-8")
    done = run_example(str(tmp_path / "demo.py"))
    assert done.returncode == 1
    assert "demo.py: the answer: expected" in done.stderr


def test_embedded_shows_both_modes() -> None:
    """It runs and prints what became of its runs."""
    done = run_example("embedded.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert "lenient: 1 created, 1 existing, 1 failed" in done.stdout
    assert "atomic: Batch transaction failed (rolled back): 1 of 2 runs rejected" in done.stdout
    assert "stored: 3 runs" in done.stdout


def test_upload_prints_counts_and_errors(server_url: str, runs: list[Run]) -> None:
    """Against a real server, with the launch."""
    done = run_example("upload.py", server_url, str(LAUNCH_FILE))
    assert (done.returncode, done.stderr) == (1, "")
    good = len(runs) - BROKEN
    assert f"HTTP 500: {len(runs)} runs, {good} created, 0 existing, {BROKEN} failed" in done.stdout
    assert done.stdout.count("rejected: run ") == BROKEN
    assert "start_time has no UTC offset" in done.stdout


def test_upload_twice_finds_the_runs_existing(server_url: str, small_file: Path) -> None:
    """A repeated upload stores nothing twice."""
    first = run_example("upload.py", server_url, str(small_file), "--atomic")
    second = run_example("upload.py", f"{server_url}/", str(small_file), "--atomic")
    assert (first.returncode, first.stdout) == (0, "HTTP 201: 2 runs, 2 created, 0 existing, 0 failed\n")
    assert (second.returncode, second.stdout) == (0, "HTTP 201: 2 runs, 0 created, 2 existing, 0 failed\n")


def test_upload_shows_conflicts(server_url: str, tmp_path: Path, make_run: Callable[..., Run]) -> None:
    """Another run under the same event_id is pointed out."""
    run = make_run()
    path = tmp_path / "conflict.json"
    path.write_text(json.dumps({"runs": [run, run | {"agent_name": "somebody-else"}]}), encoding="utf-8")
    done = run_example("upload.py", server_url, str(path))
    assert done.returncode == 0
    assert "event_id of run 1; these differ: agent_name" in done.stdout


@pytest.mark.parametrize("content", ['{"runs": []}', '{"runs": 1}', "[]", "not json"])
def test_upload_of_no_batch_says_why(server_url: str, tmp_path: Path, content: str) -> None:
    """An answer without counts is shown as its detail."""
    path = tmp_path / "odd.json"
    path.write_text(content, encoding="utf-8")
    done = run_example("upload.py", server_url, str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r"HTTP 4(00|22): \w+", done.stderr)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("wait", ["0", "Sat, 31 Jan 2026 09:00:00 GMT"], ids=["seconds", "date"])
def test_upload_retries_when_asked_to(
    scripted_server: Callable[..., tuple[str, list[bytes]]], small_file: Path, status: int, wait: str
) -> None:
    """After a wait given in either form of Retry-After, the same body is sent again."""
    url, bodies = scripted_server((status, {"Retry-After": wait}, {"detail": "busy"}), (201, {}, ALL_STORED))
    done = run_example("upload.py", url, str(small_file))
    assert (done.returncode, done.stdout) == (0, "HTTP 201: 2 runs, 1 created, 1 existing, 0 failed\n")
    assert done.stderr == f"attempt 1 of 6: HTTP {status}: busy; trying again in 0 s\n"
    assert bodies == [small_file.read_bytes()] * 2


def test_upload_gives_up_in_the_end(scripted_server: Callable[..., tuple[str, list[bytes]]], small_file: Path) -> None:
    """The attempts are bounded."""
    url, bodies = scripted_server((503, {"Retry-After": "0"}, {"detail": "busy"}))
    done = run_example("upload.py", url, str(small_file))
    assert (done.returncode, len(bodies)) == (2, 6)
    assert "gave up after 6 attempts: HTTP 503: busy" in done.stderr


@pytest.mark.parametrize("status", [500, 207])
def test_upload_takes_an_answer_with_counts_for_final(
    scripted_server: Callable[..., tuple[str, list[bytes]]], small_file: Path, status: int
) -> None:
    """Some runs failed: that is an answer, and nothing to retry."""
    error = {"index": 1, "event_id": None, "run_id": None, "field": "status", "error": "status is odd"}
    counts = {"total": 2, "created": 1, "existing": 0, "failed": 1, "errors": [error], "conflicts": []}
    url, bodies = scripted_server((status, {}, {"runs": [], **counts}))
    done = run_example("upload.py", url, str(small_file))
    assert (done.returncode, len(bodies)) == (1, 1)
    assert f"HTTP {status}: 2 runs, 1 created, 0 existing, 1 failed" in done.stdout
    assert "status is odd" in done.stdout


def test_upload_reports_a_store_failure(
    scripted_server: Callable[..., tuple[str, list[bytes]]], small_file: Path
) -> None:
    """A 500 without counts is no answer about runs."""
    url, bodies = scripted_server((500, {}, {"detail": "the disk broke"}))
    done = run_example("upload.py", url, str(small_file))
    assert (done.returncode, len(bodies), done.stderr) == (2, 1, "HTTP 500: the disk broke\n")


def test_upload_refuses_what_is_no_address(small_file: Path) -> None:
    """Files and other schemes are not opened."""
    done = run_example("upload.py", "file:///etc/hosts", str(small_file))
    assert done.returncode == 2
    assert "is not an address such as" in done.stderr
