"""The port to the kept jobs: reading them, and changing them inside a unit of work."""

from collections.abc import Mapping
from typing import Protocol

from core.model.job import Job, JobFilter, JobId, JobPage, JobPageRequest, JobState
from core.model.run import Timestamp
from core.ports.snapshot import Snapshot


class JobReader(Snapshot, Protocol):
    """Reads one consistent state of the store.

    Used by one thread at a time. Every method raises ``StoreError`` when the store fails.
    What is read equals what was added or replaced, field by field.
    """

    def get(self, job_id: JobId) -> Job | None:
        """Return the job with this id, which may be any text."""
        ...

    def page(self, which: JobFilter, request: JobPageRequest) -> JobPage:
        """Return the matching jobs, the last added first; with ``oldest_first`` in exactly the reverse order.

        The order does not depend on any clock. The page ends early at ``max_text_bytes``. ``next_cursor`` is ``None``
        exactly when no matching job follows the page. A cursor keeps its place when its job is removed.
        """
        ...

    def counts(self) -> Mapping[JobState, int]:
        """Return the number of jobs in each state, those without any included."""
        ...


class JobRepository(JobReader, Protocol):
    """A reader that also writes, inside the unit of work it belongs to, and sees what that has written so far.

    Nobody else changes a job that ``get`` has returned until the unit of work is left, so that it may be replaced by
    what was made of it.
    """

    def add(self, job: Job) -> None:
        """Keep a new job, whose id no kept job has."""
        ...

    def replace(self, job: Job) -> None:
        """Put this job in place of the kept one with its id, which must be there.

        Its result goes on from that of the kept one: errors and conflicts were only added, and only of lines behind
        the ``last_line`` of the kept one. What was found before costs nothing to keep.
        """
        ...

    def remove(self, job_id: JobId) -> None:
        """Remove the job with this id, if there is one."""
        ...

    def remove_finished(self, before: Timestamp, limit: int) -> int:
        """Remove up to ``limit`` jobs that were finished before an instant; return how many."""
        ...
