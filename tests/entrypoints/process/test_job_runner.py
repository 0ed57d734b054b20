"""Running jobs from the spool: to their end, only once, and again after anything that stops them."""

import json
import logging
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from adapters.content_coding import CODINGS, encode
from adapters.memory import MemoryStore
from adapters.spool import Spool
from adapters.sqlite import SqliteStore
from adapters.system_clock import SystemClock
from core.errors import StoreBusyError
from core.model.job import Job, JobId, JobState
from core.model.limits import Limits
from core.model.listing import RunFilter
from core.model.stream import StreamFormat, StreamResult
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.jobs import advance_job, delete_job
from entrypoints.application import Application
from entrypoints.process import job_runner
from entrypoints.process.job_runner import JobRunner
from tests.contract.samples import HANG_GUARD_SECONDS
from tests.jobs import job_of, lines, queue, sent_run, wait_until


@pytest.fixture
def application() -> Iterator[Application]:
    """An application over memory."""
    made = Application.over(MemoryStore(), SystemClock(), Limits())
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A new spool."""
    return Spool(tmp_path / "spool", 2**26)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often and pause briefly."""
    monkeypatch.setattr(job_runner, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(job_runner, "FIRST_PAUSE_SECONDS", 0.01)


def finished(application: Application, spool: Spool, job_id: JobId) -> Job:
    """The job once it is finished and its file is gone."""
    wait_until(lambda: job_of(application, job_id).finished and job_id not in spool.job_ids())
    return job_of(application, job_id)


def run_all(application: Application, spool: Spool, *job_ids: JobId, **settings: Any) -> list[Job]:
    """Run jobs to their ends."""
    runner = JobRunner(application, spool, **settings)
    try:
        return [finished(application, spool, job_id) for job_id in job_ids]
    finally:
        assert runner.close(HANG_GUARD_SECONDS)


def count(application: Application) -> int:
    """How many runs are stored."""
    return application.read(lambda runs: runs.count(RunFilter()))


@pytest.mark.parametrize("coding", [None, *CODINGS])
def test_a_job_runs_to_its_end(application: Application, spool: Spool, coding: str | None) -> None:
    """Every field says so, and what was stored is what was sent."""
    runs: list[object] = [sent_run(str(number)) for number in range(2500)]
    runs[17] = {}
    runs[99] = sent_run("0", agent_name="another")
    job_id = queue(application, spool, lines(runs), coding=coding)
    before = job_of(application, job_id)
    assert (before.state, before.started_at, before.finished_at) == (JobState.QUEUED, None, None)
    (job,) = run_all(application, spool, job_id)
    assert job.state is JobState.SUCCEEDED
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.bytes_done == job.bytes_total
    result = job.result
    assert (result.total, result.created, result.existing, result.failed) == (2500, 2498, 1, 1)
    assert (result.last_line, {error.line for error in result.errors}) == (2500, {18})
    assert [(conflict.line, conflict.fields) for conflict in result.conflicts] == [(100, ("agent_name",))]
    assert count(application) == 2498


def test_an_array_is_a_job_as_well(application: Application, spool: Spool) -> None:
    """Bare or in an object, and an empty one is read to its end."""
    bodies = [json.dumps([sent_run("a")]), json.dumps({"runs": [sent_run("a"), sent_run("b")]}), "[]"]
    jobs = run_all(
        application, spool, *(queue(application, spool, body.encode(), StreamFormat.JSON) for body in bodies)
    )
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 3
    assert [(job.result.created, job.result.existing) for job in jobs] == [(1, 0), (1, 1), (0, 0)]


def test_jobs_run_in_the_order_in_which_they_came(application: Application, spool: Spool) -> None:
    """So of two with the same key the first one's run is stored."""
    first, second = (queue(application, spool, lines([sent_run("a", agent_name=name)])) for name in "xy")
    jobs = run_all(application, spool, second, first)
    assert [job.result.created for job in jobs] == [0, 1]


def test_a_job_that_comes_later_is_run_at_once(
    application: Application, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the runner is woken, and sooner or later anyway."""
    monkeypatch.setattr(job_runner, "LOOK_SECONDS", 60)
    runner = JobRunner(application, spool)
    time.sleep(0.05)
    job_id = queue(application, spool, lines([sent_run("a")]))
    runner.wake()
    assert finished(application, spool, job_id).state is JobState.SUCCEEDED
    assert runner.close(HANG_GUARD_SECONDS)


@pytest.mark.parametrize(
    ("body", "kind", "coding", "detail", "created"),
    [
        (lines([sent_run("a")]) + b'{"\xff"\n', StreamFormat.NDJSON, None, "line 2 is not UTF-8", 1),
        (b"[" + lines([sent_run("a")]), StreamFormat.JSON, None, "the body is not JSON", 0),
        (b"{}", StreamFormat.JSON, None, "runs is required", 0),
        (encode("gzip", lines([sent_run("a")])) + b"junk", StreamFormat.NDJSON, "gzip", "cannot be decompressed", 1),
        (encode("zstd", lines([sent_run("a")]))[:-1], StreamFormat.NDJSON, "zstd", "breaks off after", 0),
        (b"", StreamFormat.NDJSON, "gzip", "breaks off after 0 bytes", 0),
    ],
)
def test_a_body_that_cannot_be_read_to_its_end_fails(  # noqa: PLR0913 - a row of the table
    application: Application,
    spool: Spool,
    *,
    body: bytes,
    kind: StreamFormat,
    coding: str | None,
    detail: str,
    created: int,
) -> None:
    """The job says why, and what came before it is stored."""
    job_id = JobId("raw")
    with spool.create(job_id) as writer:
        writer.write(body)
        writer.finish()
        now = application.clock.now()
        job = Job(
            job_id=job_id, spool=spool.identity, format=kind, coding=coding, created_at=now, bytes_total=len(body)
        )
        application.write(lambda work: work.jobs.add(job)).result()
    (job,) = run_all(application, spool, job_id)
    assert job.state is JobState.FAILED
    assert job.detail is not None
    assert detail in job.detail
    assert job.result.created == count(application) == created


def test_a_body_that_breaks_the_program_fails(
    application: Application, spool: Spool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The jobs behind it are run all the same."""
    take, broken = advance_job, queue(application, spool, lines([sent_run("a")]))

    def break_down(job_id: JobId, *rest: Any) -> Job | None:
        if job_id == broken:
            raise ZeroDivisionError
        return take(job_id, *rest)

    monkeypatch.setattr(job_runner, "advance_job", break_down)
    first, second = run_all(application, spool, broken, queue(application, spool, lines([sent_run("b")])))
    assert (first.state, second.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert "ZeroDivisionError" in caplog.text


def test_a_queued_job_can_be_cancelled(application: Application, spool: Spool) -> None:
    """Nothing of it is stored, and its file goes when the spool is looked through."""
    job_id = queue(application, spool, lines([sent_run("a")]))
    application.write(lambda work: delete_job(job_id, SystemClock().now(), work)).result()
    (job,) = run_all(application, spool, job_id)
    assert (job.state, count(application)) == (JobState.CANCELLED, 0)


def test_a_running_job_can_be_cancelled(
    application: Application, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored by then stays, nothing is stored after it, and a removed job is not missed."""
    for remove in (False, True):
        job_id = queue(application, spool, lines([sent_run(f"{remove}-{number}") for number in range(5000)]))

        def cancel_after_two(job_id: JobId, chunk: Any, done: int, work: UnitOfWork, *, remove: bool = remove) -> Any:
            if chunk.last_line == 3000:
                for _ in range(1 + remove):
                    delete_job(job_id, SystemClock().now(), work)
            return advance_job(job_id, chunk, done, work)

        monkeypatch.setattr(job_runner, "advance_job", cancel_after_two)
        before = count(application)
        runner = JobRunner(application, spool)
        wait_until(lambda job_id=job_id: job_id not in spool.job_ids())  # type: ignore[misc]
        assert runner.close(HANG_GUARD_SECONDS)
        assert count(application) == before + 2000
        if not remove:
            job = job_of(application, job_id)
            assert (job.state, job.result.last_line, job.finished_at is None) == (JobState.CANCELLED, 2000, False)


def test_stopping_leaves_the_rest_for_the_next_start(
    application: Application, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chunk that is being written is finished, and nothing is counted twice."""
    reached, allowed = Event(), Event()

    def slow(job_id: JobId, chunk: Any, done: int, work: UnitOfWork) -> Job | None:
        if chunk.last_line == 2000:
            reached.set()
            allowed.wait(HANG_GUARD_SECONDS)
        return advance_job(job_id, chunk, done, work)

    monkeypatch.setattr(job_runner, "advance_job", slow)
    job_id = queue(application, spool, lines([sent_run(str(number)) for number in range(10_000)]))
    runner = JobRunner(application, spool)
    assert reached.wait(HANG_GUARD_SECONDS)
    assert not runner.close(0.05)
    allowed.set()
    assert runner.close(HANG_GUARD_SECONDS)
    job = job_of(application, job_id)
    assert (job.state, job.result.last_line) == (JobState.RUNNING, 2000)
    (done,) = run_all(application, spool, job_id)
    assert (done.state, done.result) == (
        JobState.SUCCEEDED,
        StreamResult(total=10_000, created=10_000, last_line=10_000),
    )
    assert done.started_at == job.started_at


def test_a_failing_store_is_waited_for(application: Application, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each chunk is written again until it is, one whose commit nobody knew of included."""
    submit = application.writer.submit
    submitted = 0

    def failing(command: Any) -> Any:
        nonlocal submitted
        submitted += 1
        future = submit(command)
        if submitted % 3 == 0:
            # Committed, but told to have been lost.
            future.result()
            raise StoreBusyError("nobody knows")
        if submitted % 3 == 1:
            raise StoreBusyError("the store is locked")
        return future

    job_id = queue(application, spool, lines([sent_run(str(number)) for number in range(3500)]))
    monkeypatch.setattr(type(application.writer), "submit", lambda _, command: failing(command))
    (job,) = run_all(application, spool, job_id)
    assert (job.state, job.result) == (JobState.SUCCEEDED, StreamResult(total=3500, created=3500, last_line=3500))
    assert submitted > 8


def test_a_job_without_its_file_fails(application: Application, spool: Spool, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the jobs behind it are run."""
    lost, kept = (queue(application, spool, lines([sent_run(key)])) for key in "ab")
    spool.discard(lost)
    first, second = run_all(application, spool, lost, kept)
    assert (first.state, second.state) == (JobState.FAILED, JobState.SUCCEEDED)
    assert first.detail == "the body of the job is no longer in the spool of the server"
    assert f"job {lost} failed" in caplog.text


def test_a_file_without_its_job_is_removed(
    application: Application, spool: Spool, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """As a crash leaves it between the file and the job; nobody was told of that job."""
    with spool.create(JobId("orphan")) as writer:
        writer.write(b"{}")
        writer.finish()
    (tmp_path / "spool" / "half.part").write_bytes(b"x")
    runner = JobRunner(application, spool)
    wait_until(lambda: spool.used_bytes() == 0)
    assert runner.close(HANG_GUARD_SECONDS)
    assert "there is no such job" in caplog.text
    assert "never whole" in caplog.text


def test_a_job_that_is_being_made_known_is_left_alone(application: Application, spool: Spool) -> None:
    """Its file is there and its row is not, for that moment."""
    with spool.create(JobId("new")) as writer:
        writer.finish()
        runner = JobRunner(application, spool)
        time.sleep(0.1)
        assert runner.close(HANG_GUARD_SECONDS)
        assert spool.job_ids() == ["new"]


def test_jobs_of_another_spool_are_left_alone(application: Application, spool: Spool, tmp_path: Path) -> None:
    """They belong to another server on the same store."""
    other = Spool(tmp_path / "other", 2**20)
    theirs = queue(application, other, lines([sent_run("a")]))
    ours = queue(application, spool, lines([sent_run("b")]))
    run_all(application, spool, ours)
    assert job_of(application, theirs).state is JobState.QUEUED
    assert other.job_ids() == [theirs]


def test_several_runners_share_a_spool(spool: Spool, tmp_path: Path) -> None:
    """As workers do: every job is run once, whoever takes it."""
    applications = [Application.over(SqliteStore(tmp_path / "runs.db"), SystemClock(), Limits()) for _ in range(3)]
    spools = [Spool(tmp_path / "spool", 2**26) for _ in range(3)]
    job_ids = [
        queue(applications[0], spool, lines([sent_run(f"{job}-{number}") for number in range(1500)]))
        for job in range(9)
    ]
    runners = [JobRunner(application, own) for application, own in zip(applications, spools, strict=True)]
    jobs = [finished(applications[0], spool, job_id) for job_id in job_ids]
    assert all(runner.close(HANG_GUARD_SECONDS) for runner in runners)
    assert {job.state for job in jobs} == {JobState.SUCCEEDED}
    assert {job.result.created for job in jobs} == {1500}
    assert count(applications[0]) == 9 * 1500
    for application in applications:
        application.close()


def test_old_finished_jobs_are_removed(application: Application, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once they were finished so many days ago, a few at a time."""
    monkeypatch.setattr(job_runner, "PURGED_JOBS", 2)
    make = partial(Job, spool=spool.identity, format=StreamFormat.NDJSON, coding=None, bytes_total=0)
    now = application.clock.now()
    long_ago = type(now)("2020-01-01T00:00:00.000000Z")
    for number in range(5):
        old = make(job_id=JobId(str(number)), created_at=long_ago, state=JobState.FAILED, finished_at=long_ago)
        application.write(lambda work, old=old: work.jobs.add(old)).result()  # type: ignore[misc]
    recent = make(job_id=JobId("recent"), created_at=long_ago, state=JobState.SUCCEEDED, finished_at=now)
    application.write(lambda work: work.jobs.add(recent)).result()
    runner = JobRunner(application, spool, keep_days=7)

    def left() -> list[str]:
        with application.store.job_reader() as jobs:
            return [job_id for job_id in [*map(str, range(5)), "recent"] if jobs.get(JobId(job_id))]

    wait_until(lambda: left() == ["recent"])
    assert runner.close(HANG_GUARD_SECONDS)


def test_a_store_that_is_closed_ends_the_runner(
    application: Application, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a word."""
    runner = JobRunner(application, spool)
    application.close()
    wait_until(lambda: not runner._thread.is_alive())  # noqa: SLF001 - whether it has ended
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
