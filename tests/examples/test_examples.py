"""The examples do what they say, against the installed product."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LAUNCH_FILE = EXAMPLES / "launch.json"
BROKEN = 6
TIMEOUT_SECONDS = 30

Run = dict[str, Any]


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
    for file, counts in (("launch-again.json", (total, 0, 0, total)), ("launch-good.json", (good, 0, good, 0))):
        assert re.search(rf"^{file} +" + " +".join(map(str, counts)) + "$", done.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_demo_keeps_the_server_on_request(tmp_path: Path) -> None:
    """The page is there until Ctrl-C, which ends everything with 0 and leaves nothing behind."""
    with subprocess.Popen(
        [sys.executable, "-u", str(EXAMPLES / "demo.py"), "--keep"],
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        page = ""
        for line in process.stdout:
            page = page or "".join(re.findall(r"^The launch on a page: (\S+)$", line))
            if "until Ctrl-C" in line:
                break
        with build_opener(ProxyHandler({})).open(page, timeout=TIMEOUT_SECONDS) as response:
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    assert process.returncode == 0, rest
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
    (tmp_path / "demo.py").write_bytes((EXAMPLES / "demo.py").read_bytes())
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
