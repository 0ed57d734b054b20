"""The job repository over a dictionary."""

from collections import Counter
from collections.abc import Iterator, Mapping
from operator import gt, lt

import attrs

from adapters.memory.run_repository import Marks
from core.model.job import Job, JobFilter, JobId, JobPage, JobPageRequest, JobState
from core.model.listing import take_what_fits
from core.model.run import Timestamp
from core.model.store_version import StoreVersion
from core.model.stream import count_found_bytes
from core.ports.job_repository import JobRepository

_JOB_BYTES = 512


@attrs.frozen
class KeptJob:
    """A job and its number in the order in which jobs were added."""

    job: Job
    number: int


class MemoryJobRepository(JobRepository):
    """Jobs by id, in the order in which they were added."""

    def __init__(self, kept: dict[JobId, KeptJob], marks: Marks) -> None:
        self._kept = kept
        self._marks = marks

    def version(self) -> StoreVersion:
        return self._marks.version

    def get(self, job_id: JobId) -> Job | None:
        kept = self._kept.get(job_id)
        return kept.job if kept else None

    def page(self, which: JobFilter, request: JobPageRequest) -> JobPage:
        matching = sorted(self._matching(which), key=lambda kept: kept.number, reverse=not request.oldest_first)
        if request.cursor is not None:
            passed = gt if request.oldest_first else lt
            matching = [kept for kept in matching if passed(kept.number, request.cursor)]
        chosen, more = take_what_fits(matching, _size_of, request.limit, request.max_text_bytes)
        return JobPage(tuple(kept.job for kept in chosen), chosen[-1].number if more else None)

    def counts(self) -> Mapping[JobState, int]:
        found = Counter(kept.job.state for kept in self._kept.values())
        return {state: found[state] for state in JobState}

    def add(self, job: Job) -> None:
        number = max((kept.number for kept in self._kept.values()), default=0) + 1
        self._kept[job.job_id] = KeptJob(job, number)

    def replace(self, job: Job) -> None:
        self._kept[job.job_id] = KeptJob(job, self._kept[job.job_id].number)

    def remove(self, job_id: JobId) -> None:
        self._kept.pop(job_id, None)

    def remove_finished(self, before: Timestamp, limit: int) -> int:
        old = [job_id for job_id, kept in self._kept.items() if kept.job.finished_at and kept.job.finished_at < before][
            :limit
        ]
        for job_id in old:
            del self._kept[job_id]
        return len(old)

    def _matching(self, which: JobFilter) -> Iterator[KeptJob]:
        return (kept for kept in self._kept.values() if _matches(kept.job, which))


def _size_of(kept: KeptJob) -> int:
    return _JOB_BYTES + count_found_bytes(kept.job.result.errors, kept.job.result.conflicts)


def _matches(job: Job, which: JobFilter) -> bool:
    return (
        (which.state is None or job.state is which.state)
        and (which.spool is None or job.spool == which.spool)
        and not (which.unfinished and job.finished)
    )
