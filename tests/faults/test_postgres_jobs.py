"""Servers with spools of their own on one PostgreSQL, whose connections are ended while jobs run."""

from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest

from adapters.spool import Spool
from adapters.system_clock import SystemClock
from core.model.job import JobState
from core.model.listing import RunFilter
from core.model.stream import StreamResult
from core.use_cases.jobs import delete_job
from entrypoints.application import Application, build_application
from entrypoints.process import job_runner
from entrypoints.process.job_runner import JobRunner
from entrypoints.settings import Settings
from tests.contract.samples import HANG_GUARD_SECONDS
from tests.figures import Figures, Scale
from tests.jobs import job_of, lines, queue, sent_run, wait_until

SERVERS = 2
RUNS = 5_000

_END_WRITING = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND application_name = current_schema() AND backend_xid IS NOT NULL "
    "AND random() < 0.3"
)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often and pause briefly."""
    monkeypatch.setattr(job_runner, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(job_runner, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(job_runner, "LAST_PAUSE_SECONDS", 0.1)


def _servers(url: str, folder: Path) -> list[tuple[Application, Spool]]:
    return [
        (build_application(Settings(db=url)), Spool(folder / f"spool-{number}", 2**28)) for number in range(SERVERS)
    ]


def _end_connections(url: str, stop: Event) -> int:
    """End connections that are in the middle of writing, again and again; return how many were.

    Not all of them: however slow the machine is, some commits succeed.
    """
    ended = 0
    with psycopg.connect(url, autocommit=True, application_name="test") as connection:
        while not stop.wait(0.1):
            row = connection.execute(_END_WRITING).fetchone()
            ended += row[0] if row else 0
    return ended


def test_jobs_outlive_their_connections(postgres_url: str, tmp_path: Path, scale: Scale, figures: Figures) -> None:
    """Each server runs its own jobs, and whatever commit was lost or kept unheard of, nothing is counted twice."""
    servers = _servers(postgres_url, tmp_path)
    jobs = scale(3, 100)
    queued = [
        (number, queue(*server, lines([sent_run(f"{number}-{job}-{run}") for run in range(RUNS)])))
        for number, server in enumerate(servers)
        for job in range(jobs)
    ]
    stop, ended = Event(), list[int]()
    ending = Thread(target=lambda: ended.append(_end_connections(postgres_url, stop)))
    runners = [JobRunner(*server) for server in servers]
    ending.start()
    wait_until(lambda: all(not spool.job_ids() for _, spool in servers))
    stop.set()
    ending.join()
    assert all(runner.close(HANG_GUARD_SECONDS) for runner in runners)
    results = [job_of(servers[number][0], job_id).result for number, job_id in queued]
    wrong = sum(result != StreamResult(total=RUNS, created=RUNS, last_line=RUNS) for result in results)
    stored = servers[0][0].read(lambda runs: runs.count(RunFilter()))
    figures(jobs=len(queued), connections_ended=ended[0], wrong=wrong)
    assert (wrong, stored) == (0, len(queued) * RUNS)
    for application, _ in servers:
        application.close()


def test_any_server_may_cancel_a_job(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has the body stops at the next chunk, or does not begin, and removes the file."""
    monkeypatch.setattr(job_runner, "SWEEP_SECONDS", 0.1)
    (first, first_spool), (second, _) = _servers(postgres_url, tmp_path)
    body = lines([sent_run(str(run)) for run in range(100_000)])
    running, waiting = queue(first, first_spool, body), queue(first, first_spool, body)
    runner = JobRunner(first, first_spool)
    wait_until(lambda: job_of(second, running).result.last_line)
    for job_id in (waiting, running):
        second.write(lambda work, job_id=job_id: delete_job(job_id, SystemClock().now(), work)).result()  # type: ignore[misc]
    wait_until(lambda: first_spool.job_ids() == [])
    assert runner.close(HANG_GUARD_SECONDS)
    cancelled = [job_of(second, job_id) for job_id in (running, waiting)]
    assert {job.state for job in cancelled} == {JobState.CANCELLED}
    assert 0 < cancelled[0].result.last_line < 100_000
    assert cancelled[1].result.last_line == 0
    assert first.read(lambda runs: runs.count(RunFilter())) == cancelled[0].result.created
    for application in (first, second):
        application.close()
