"""``kill -9`` while jobs run: they go on at the next line, and nothing is lost or counted twice."""

import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from adapters.spool import Spool
from core.model.job import JobId, JobState
from core.model.listing import RunFilter
from core.model.stream import StreamFormat
from entrypoints.application import Application, build_application
from entrypoints.settings import Settings
from tests.faults import audit, job_driver
from tests.figures import Figures, Scale
from tests.jobs import job_of, lines, queue, sent_run
from tests.servers import own_environment

JOBS = 6
RUNS = 9_000
BAD_EVERY = 1_000


def _queue_all(application: Application, spool: Spool, cycle: int) -> list[JobId]:
    """Queue jobs of every kind. Each has bad lines, and each but the first ends with a line of the one before."""
    job_ids = []
    for job in range(JOBS):
        runs: list[object] = [sent_run(f"{cycle}-{job}-{number}") for number in range(RUNS)]
        runs[::BAD_EVERY] = [{}] * len(runs[::BAD_EVERY])
        runs.append(sent_run(f"{cycle}-{max(job - 1, 0)}-1", agent_name="another"))
        body = lines(runs)
        if job % 3 == 2:
            body, kind = b"[" + body.rstrip().replace(b"\n", b",") + b"]", StreamFormat.JSON
        else:
            kind = StreamFormat.NDJSON
        job_ids.append(queue(application, spool, body, kind, (None, "gzip", "zstd")[job % 3]))
    return job_ids


def _run_and_kill(database: Path, directory: Path, seconds: float, processes: int) -> None:
    """Have processes run the jobs for a while, then kill them all at once."""
    command = [sys.executable, str(job_driver.__file__), str(database), str(directory)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=own_environment({}))
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
    time.sleep(seconds)
    for process in running:
        process.send_signal(signal.SIGKILL)
    for process in running:
        process.communicate()


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_jobs_go_on_at_the_next_line(tmp_path: Path, processes: int, scale: Scale, figures: Figures) -> None:
    """However often whoever runs them is killed, each job ends with the counts of an undisturbed one."""
    database, spool = tmp_path / "runs.db", Spool(tmp_path / "spool", 2**30)
    kills = wrong = cycle = 0
    while kills < scale(4, 400):
        with closing(build_application(Settings(db=str(database)))) as application:
            job_ids = _queue_all(application, spool, cycle)
            before = application.read(lambda runs: runs.count(RunFilter()))
        for _ in range(200):
            _run_and_kill(database, tmp_path / "spool", random.uniform(0, 0.6), processes)  # noqa: S311 - no secret
            kills += processes
            with closing(build_application(Settings(db=str(database)))) as application:
                jobs = [job_of(application, job_id) for job_id in job_ids]
            if all(job.finished for job in jobs):
                break
        bad = RUNS // BAD_EVERY
        for job in jobs:
            result = job.result
            counts = (result.total, result.created, result.existing, result.failed, result.last_line)
            expected = (RUNS + 1, RUNS - bad, 1, bad, RUNS + 1)
            listed = [error.line for error in result.errors if error.error.field == "agent_name"]
            wrong += counts != expected or job.state is not JobState.SUCCEEDED
            wrong += listed != list(range(1, RUNS + 1, BAD_EVERY)) or len(result.conflicts) != 1
        with closing(build_application(Settings(db=str(database)))) as application:
            after = application.read(lambda runs: runs.count(RunFilter()))
        wrong += after - before != JOBS * (RUNS - bad)
        cycle += 1
    with audit.looked_into(database) as connection:
        assert audit.integrity_errors(connection, thorough=True) == audit.disagreements(connection) == []
    figures(kills=kills, jobs=cycle * JOBS, wrong=wrong)
    assert wrong == 0
