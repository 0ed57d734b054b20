"""``kill -9`` of ``runsink upload``: uploading the file again completes it, and nothing is there twice."""

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.figures import Figures, Scale
from tests.jobs import lines, sent_run
from tests.launcher import Command
from tests.servers import DEADLINE_SECONDS, Serve, own_environment

RUNS = 12_000
MODES: Sequence[Sequence[str]] = ([], ["--job"], ["--atomic"])


def upload(file: Path, url: str, mode: Sequence[str]) -> Command:
    """Begin an upload."""
    command = ["runsink", "upload", file.name, "--url", url, "--json", *mode]
    return Command(command, cwd=file.parent, env=own_environment({}), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def test_a_killed_upload_can_be_repeated(serve: Serve, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Whatever the killed one had sent is stored once, and the next one says that nothing failed."""
    random = Random(11)  # noqa: S311 - when to kill is no secret
    cycles, killed = scale(5, 100), 0
    file = tmp_path / "runs.ndjson"
    with serve("--port", "0") as served:
        for cycle in range(cycles):
            file.write_bytes(lines([sent_run(f"{cycle}-{number:05}") for number in range(RUNS)]))
            mode = MODES[cycle % len(MODES)]
            with upload(file, served.api.url, mode) as first:
                time.sleep(random.uniform(0.03, 0.3))
                first.kill()
                first.communicate(timeout=DEADLINE_SECONDS)
                killed += first.returncode == -signal.SIGKILL
            with upload(file, served.api.url, mode) as again:
                shown, _ = again.communicate(timeout=DEADLINE_SECONDS)
            told = json.loads(shown)
            assert (again.returncode, told["total"], told["failed"]) == (0, RUNS, 0)
            assert told["created"] + told["existing"] == RUNS
            assert served.api.find(limit=1).body["total"] == RUNS * (cycle + 1)
    assert killed
    figures(cycles=cycles, killed=killed, runs=RUNS * cycles, lost=0, doubled=0)
