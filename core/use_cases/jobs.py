"""The use cases of background jobs. Each changes one job inside a unit of work that its caller will commit.

A job is queued once its whole body is in a spool, runs a chunk at a time, and is finished once. What a chunk did to the
job and the runs that it brought are committed together, so a job that was broken off goes on at its next line.
"""

from typing import Final

import attrs

from core.errors import JobNotFoundError
from core.model.job import Job, JobFilter, JobId, JobPage, JobPageRequest, JobState, SpoolId
from core.model.run import Timestamp
from core.model.stream import Chunk
from core.ports.job_repository import JobReader
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.stream import take_chunk

_PAGE_JOBS: Final = 100


def queue_job(job: Job, work: UnitOfWork) -> Job:
    """Keep a new job, to be run by whoever has its spool."""
    work.jobs.add(job)
    return job


def get_job(job_id: str, jobs: JobReader) -> Job:
    """Return the job with this id.

    Raises:
        JobNotFoundError: there is none.
    """
    job = jobs.get(JobId(job_id))
    if job is None:
        raise JobNotFoundError(job_id)
    return job


def list_jobs(which: JobFilter, request: JobPageRequest, jobs: JobReader) -> JobPage:
    """Return a page of the matching jobs."""
    return jobs.page(which, request)


def list_waiting(spool: SpoolId, cursor: int | None, limit: int, jobs: JobReader) -> JobPage:
    """Return the jobs that are still to be run from a spool, in the order in which that should be done."""
    return jobs.page(
        JobFilter(spool=spool, unfinished=True), JobPageRequest(limit=limit, cursor=cursor, oldest_first=True)
    )


def start_job(job_id: JobId, now: Timestamp, work: UnitOfWork) -> Job | None:
    """Mark a job as running, or let one that was broken off go on; ``None`` if there is nothing to run any more."""
    job = work.jobs.get(job_id)
    if job is None or job.finished:
        return None
    started_at = now if job.started_at is None else job.started_at
    return _replace(attrs.evolve(job, state=JobState.RUNNING, started_at=started_at), work)


def advance_job(job_id: JobId, chunk: Chunk, bytes_done: int, work: UnitOfWork) -> Job | None:
    """Take the next chunk of a running job; ``None`` if it was cancelled or removed, and then nothing is stored.

    Taking the same chunk again changes nothing, so it may be repeated when nobody knows whether it was committed.
    """
    job = work.jobs.get(job_id)
    if job is None or job.finished:
        return None
    result = take_chunk(job.result, chunk, work)
    return _replace(attrs.evolve(job, result=result, bytes_done=max(job.bytes_done, bytes_done)), work)


def finish_job(job_id: JobId, now: Timestamp, work: UnitOfWork) -> Job | None:
    """Note that the body was read to its end; ``None`` as for ``advance_job``."""
    job = work.jobs.get(job_id)
    if job is None or job.finished:
        return None
    done = attrs.evolve(job, state=JobState.SUCCEEDED, finished_at=now, bytes_done=job.bytes_total)
    return _replace(done, work)


def fail_job(job_id: JobId, detail: str, now: Timestamp, work: UnitOfWork) -> Job | None:
    """Note why the body could not be read to its end; ``None`` as for ``advance_job``. What is stored stays."""
    job = work.jobs.get(job_id)
    if job is None or job.finished:
        return None
    return _replace(attrs.evolve(job, state=JobState.FAILED, finished_at=now, detail=detail), work)


def fail_jobs_elsewhere(spool: SpoolId | None, detail: str, now: Timestamp, work: UnitOfWork) -> int:
    """Fail every unfinished job whose body is in another spool than this; return how many. ``None`` is no spool."""
    failed, cursor = 0, None
    while True:
        request = JobPageRequest(limit=_PAGE_JOBS, cursor=cursor, oldest_first=True)
        page = work.jobs.page(JobFilter(unfinished=True), request)
        lost = [job.job_id for job in page.jobs if job.spool != spool]
        for job_id in lost:
            fail_job(job_id, detail, now, work)
        failed, cursor = failed + len(lost), page.next_cursor
        if cursor is None:
            return failed


def delete_job(job_id: str, now: Timestamp, work: UnitOfWork) -> Job | None:
    """Cancel an unfinished job and return it, or remove a finished one and return ``None``.

    What a job stored stays. Its file is removed by whoever has its spool.

    Raises:
        JobNotFoundError: there is none.
    """
    job = work.jobs.get(JobId(job_id))
    if job is None:
        raise JobNotFoundError(job_id)
    if job.finished:
        work.jobs.remove(job.job_id)
        return None
    return _replace(attrs.evolve(job, state=JobState.CANCELLED, finished_at=now), work)


def purge_jobs(before: Timestamp, limit: int, work: UnitOfWork) -> int:
    """Remove up to ``limit`` jobs that were finished before an instant; return how many."""
    return work.jobs.remove_finished(before, limit)


def _replace(job: Job, work: UnitOfWork) -> Job:
    work.jobs.replace(job)
    return job
