"""A job: a stream that was accepted whole and is taken in the background."""

from enum import StrEnum
from typing import Final, NewType

import attrs

from core.model.listing import MAX_PART_BYTES
from core.model.run import Timestamp
from core.model.stream import StreamFormat, StreamResult

JobId = NewType("JobId", str)
"""The id of a job; it names its file in the spool as well."""

SpoolId = NewType("SpoolId", str)
"""The id of the spool that holds the body of a job."""


class JobState(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINISHED_STATES: Final = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


@attrs.frozen(kw_only=True)
class Job:
    """A job with every field of the contract, and what it takes to run it.

    ``finished_at`` is given exactly when the job is finished. ``bytes_total`` are those of the body as it was sent,
    in the content coding ``coding``, and ``bytes_done`` how many of them were read for the lines up to
    ``result.last_line``. ``detail`` says why a job failed.
    """

    job_id: JobId
    spool: SpoolId
    format: StreamFormat
    coding: str | None
    created_at: Timestamp
    bytes_total: int
    state: JobState = JobState.QUEUED
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None
    bytes_done: int = 0
    result: StreamResult = attrs.field(factory=StreamResult)
    detail: str | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing will happen to the job any more."""
        return self.state in FINISHED_STATES


@attrs.frozen(kw_only=True)
class JobFilter:
    """Which jobs: those that match every part that is given."""

    state: JobState | None = None
    spool: SpoolId | None = None
    unfinished: bool = False


@attrs.frozen(kw_only=True)
class JobPageRequest:
    """Which part of the list of jobs. With a cursor the page begins right after its job.

    ``max_text_bytes`` ends the page early: before the job that takes it beyond about so many bytes of text, though
    never before its first.
    """

    limit: int = 100
    cursor: int | None = None
    oldest_first: bool = False
    max_text_bytes: int = MAX_PART_BYTES


@attrs.frozen
class JobPage:
    """Some jobs, and where the next page begins; ``None`` when this is the last."""

    jobs: tuple[Job, ...]
    next_cursor: int | None
