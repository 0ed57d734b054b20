"""What may happen to a job, and what may not happen any more."""

import attrs
import pytest

from adapters.memory import MemoryStore
from core.errors import JobNotFoundError
from core.model.batch import RefusedRun
from core.model.job import Job, JobFilter, JobId, JobPageRequest, JobState, SpoolId
from core.model.run import Timestamp
from core.model.stream import Chunk, StreamFormat, StreamResult
from core.model.validation_error import ValidationError
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.jobs import (
    advance_job,
    delete_job,
    fail_job,
    fail_jobs_elsewhere,
    finish_job,
    get_job,
    list_jobs,
    list_waiting,
    purge_jobs,
    queue_job,
    start_job,
)
from tests.contract.samples import at, sample_run

ID = JobId("job-1")
NOW = Timestamp(at(5))
JOB = Job(
    job_id=ID,
    spool=SpoolId("spool-1"),
    format=StreamFormat.NDJSON,
    coding=None,
    created_at=Timestamp(at(0)),
    bytes_total=9,
)
CHUNK = Chunk([sample_run("a"), RefusedRun(2, None, None, (ValidationError(None, "is bad"),))], [1, 2], 3)
FINISHED = [
    attrs.evolve(JOB, state=state, finished_at=Timestamp(at(4)))
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
]


def work_with(*jobs: Job) -> UnitOfWork:
    """A unit of work of a store that has these jobs."""
    work = MemoryStore().unit_of_work().__enter__()
    for job in jobs:
        queue_job(job, work)
    return work


def test_a_job_goes_its_way() -> None:
    """From the queue to its end, with its counts and times."""
    work = work_with(JOB)
    assert get_job(ID, work.jobs) == JOB
    started = start_job(ID, NOW, work)
    assert started == attrs.evolve(JOB, state=JobState.RUNNING, started_at=NOW)
    advanced = advance_job(ID, CHUNK, 7, work)
    assert advanced is not None
    assert (advanced.result.created, advanced.result.failed, advanced.result.last_line) == (1, 1, 3)
    assert (advanced.bytes_done, work.jobs.get(ID)) == (7, advanced)
    finished = finish_job(ID, NOW, work)
    assert finished == attrs.evolve(advanced, state=JobState.SUCCEEDED, finished_at=NOW, bytes_done=9)
    assert work.jobs.get(ID) == finished


def test_a_job_that_was_broken_off_goes_on() -> None:
    """It began when it began, and a chunk that comes again changes nothing."""
    work = work_with(JOB)
    start_job(ID, NOW, work)
    before = advance_job(ID, CHUNK, 7, work)
    assert start_job(ID, Timestamp(at(9)), work) == before
    assert advance_job(ID, CHUNK, 5, work) == before


def test_a_job_that_cannot_be_read_says_why() -> None:
    """What was counted stays."""
    work = work_with(attrs.evolve(JOB, state=JobState.RUNNING, result=StreamResult(total=4, created=4, last_line=4)))
    failed = fail_job(ID, "it is damaged", NOW, work)
    assert failed is not None
    assert (failed.state, failed.detail, failed.finished_at) == (JobState.FAILED, "it is damaged", NOW)
    assert failed.result.total == 4


@pytest.mark.parametrize("job", [*FINISHED, None], ids=["succeeded", "failed", "cancelled", "removed"])
def test_nothing_happens_to_a_finished_job(job: Job | None) -> None:
    """Nor to one that is gone; no run of a chunk is stored."""
    work = work_with(*([job] if job else []))
    assert start_job(ID, NOW, work) is None
    assert advance_job(ID, CHUNK, 7, work) is None
    assert finish_job(ID, NOW, work) is None
    assert fail_job(ID, "too late", NOW, work) is None
    assert work.jobs.get(ID) == job
    assert work.runs.get(sample_run("a").event_id) is None


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING])
def test_an_unfinished_job_is_cancelled_and_then_removed(state: JobState) -> None:
    """The first time it is still there to be looked at."""
    work = work_with(attrs.evolve(JOB, state=state))
    cancelled = delete_job(ID, NOW, work)
    assert cancelled == attrs.evolve(JOB, state=JobState.CANCELLED, finished_at=NOW)
    assert delete_job(ID, NOW, work) is None
    with pytest.raises(JobNotFoundError, match="Job not found: job-1"):
        delete_job(ID, NOW, work)


def test_an_unknown_job_is_named() -> None:
    """The id is there for programs as well."""
    with pytest.raises(JobNotFoundError, match="Job not found: job-1") as caught:
        get_job(ID, work_with().jobs)
    assert caught.value.job_id == ID


def test_jobs_wait_in_the_order_in_which_they_came() -> None:
    """Those that were begun are among them, those of other spools are not, and the list has all."""
    others = [attrs.evolve(JOB, job_id=JobId(f"job-{number}")) for number in (2, 3, 4)]
    others[1] = attrs.evolve(others[1], state=JobState.RUNNING)
    others[2] = attrs.evolve(others[2], spool=SpoolId("spool-2"))
    work = work_with(JOB, *others, attrs.evolve(FINISHED[0], job_id=JobId("job-5")))
    first = list_waiting(JOB.spool, None, 2, work.jobs)
    second = list_waiting(JOB.spool, first.next_cursor, 2, work.jobs)
    assert [job.job_id for job in (*first.jobs, *second.jobs)] == ["job-1", "job-2", "job-3"]
    everything = list_jobs(JobFilter(), JobPageRequest(), work.jobs).jobs
    assert [job.job_id for job in everything] == ["job-5", "job-4", "job-3", "job-2", "job-1"]


def test_old_jobs_are_purged() -> None:
    """Those that were finished before the instant."""
    work = work_with(JOB, attrs.evolve(FINISHED[1], job_id=JobId("job-2")))
    assert [purge_jobs(Timestamp(at(second)), 10, work) for second in (4, 5, 6)] == [0, 1, 0]
    assert work.jobs.get(ID) == JOB


@pytest.mark.parametrize(("spool", "failed"), [(SpoolId("spool-1"), 75), (None, 225), (SpoolId("spool-9"), 225)])
def test_jobs_whose_body_is_elsewhere_fail(spool: SpoolId | None, failed: int) -> None:
    """All of them, however many there are, and no finished one."""
    unfinished = [
        attrs.evolve(JOB, job_id=JobId(f"job-{number}"), spool=SpoolId(f"spool-{number % 3 % 2 + 1}"))
        for number in range(225)
    ]
    work = work_with(*unfinished, attrs.evolve(FINISHED[0], job_id=JobId("finished")))
    assert fail_jobs_elsewhere(spool, "it is elsewhere", NOW, work) == failed
    jobs = list_jobs(JobFilter(state=JobState.FAILED), JobPageRequest(limit=1000), work.jobs).jobs
    assert {(job.spool == spool, job.finished_at, job.detail) for job in jobs} == {(False, NOW, "it is elsewhere")}
    assert get_job("finished", work.jobs).state is JobState.SUCCEEDED
    assert fail_jobs_elsewhere(spool, "again", NOW, work) == 0
