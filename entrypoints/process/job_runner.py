"""The thread that runs background jobs, one at a time, from the spool.

It writes through the same writer as everybody else and waits for the commit of each chunk before it submits the next,
so that in every commit there is one chunk of a job at most, and whoever uploads meanwhile hardly waits longer.

What it has done of a job is known to the store alone. So it may be killed at any instant, and whoever has the spool
next goes on at the next line. A job is run by whoever holds the lock on its file.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Thread
from typing import Final, TypeVar

import attrs

from adapters.spool import Spool, SpoolFile
from core.errors import RunsinkError, StoreClosedError, StoreError, StoreForkedError
from core.model.job import Job, JobId, JobPage
from core.model.run import Timestamp
from core.model.stream import Chunk
from core.ports.observer import Intake
from core.ports.unit_of_work import UnitOfWork
from core.use_cases.jobs import advance_job, fail_job, finish_job, list_waiting, purge_jobs, start_job
from core.use_cases.stream import added_by_chunk
from core.validation.fields import format_timestamp
from entrypoints.application import Application
from entrypoints.streams import StreamDecoder

PIECE_BYTES: Final = 256 * 1024

LOOK_SECONDS: Final = 5.0
"""How often the spool is looked at for jobs that another process left or that could not be run."""

SWEEP_SECONDS: Final = 60.0
"""How often files are looked for whose jobs are gone or were cancelled by another server."""

PURGE_SECONDS: Final = 3600.0

PURGED_JOBS: Final = 100
"""So many old jobs are removed in one unit of work."""

FIRST_PAUSE_SECONDS: Final = 0.1
LAST_PAUSE_SECONDS: Final = 30.0
"""The pause before a chunk is written again after the store failed; it doubles each time."""

_PAGE_JOBS: Final = 100

_T = TypeVar("_T")

_log = logging.getLogger("runsink")


class _StoppedError(Exception):
    """The runner is to stop; what it is at is left for the next start."""


@attrs.define
class _Schedule:
    """When something is due that is done every so many seconds, and at once to begin with."""

    seconds: float
    _due: float = 0.0

    def is_due(self) -> bool:
        """Whether it is due now; then it is next due after the interval."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + self.seconds
        return True


class JobRunner:
    """Runs the jobs of a spool until it is closed. Begins at once; jobs that were broken off come first.

    Finished jobs are removed from the store after ``keep_days``; ``None`` keeps them.
    """

    def __init__(self, application: Application, spool: Spool, keep_days: int | None = None) -> None:
        self._application = application
        self._spool = spool
        self._keep_days = keep_days
        self._streams = StreamDecoder(application.decoder, application.limits, application.clock.now)
        self._sweeping, self._purging = _Schedule(SWEEP_SECONDS), _Schedule(PURGE_SECONDS)
        self._failing = False
        self._stopping = Event()
        self._woken = Event()
        self._thread = Thread(target=self._work, name="runsink-jobs", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Have the runner look for a job that was just queued."""
        self._woken.set()

    def close(self, within: float | None = None) -> bool:
        """Stop after the chunk that is being written; close it before the application.

        Return whether it has stopped ``within`` so many seconds. What is left undone is done at the next start.
        """
        self._stopping.set()
        self._woken.set()
        self._thread.join(within)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                self._keep_house()
                self._run_all()
            except (_StoppedError, StoreClosedError, StoreForkedError):
                return
            except Exception:  # noqa: BLE001 - it is logged, see below
                # Nothing that goes wrong once may keep jobs from being run for good.
                if not self._failing:
                    _log.exception("jobs cannot be run; it is tried again until it succeeds")
                self._failing = True
            else:
                if self._failing:
                    _log.info("jobs are run again")
                self._failing = False
            self._woken.wait(LOOK_SECONDS)

    def _keep_house(self) -> None:
        if self._sweeping.is_due():
            self._sweep()
        if self._keep_days is not None and self._purging.is_due():
            self._purge(timedelta(days=self._keep_days))

    def _sweep(self) -> None:
        """Remove files that nobody will run: parts, and those whose jobs are gone or finished."""
        if removed := self._spool.remove_parts():
            _log.warning("removed %d files of the spool that were never whole", removed)
        for job_id in self._spool.job_ids():
            try:
                file = self._spool.claim(job_id)
            except FileNotFoundError:
                continue
            if file is None:
                continue
            # Whoever makes a job holds its file until the job is kept, so only now nobody can add it any more.
            with file:
                job = self._job(job_id)
                if job is None:
                    _log.warning("removed the file of job %s from the spool: there is no such job", job_id)
                if job is None or job.finished:
                    self._spool.discard(job_id)

    def _purge(self, age: timedelta) -> None:
        """Remove old finished jobs, a few at a time."""
        before = format_timestamp(datetime.fromisoformat(self._application.clock.now()) - age)
        while self._write(lambda work: purge_jobs(before, PURGED_JOBS, work)) == PURGED_JOBS:
            pass

    def _run_all(self) -> None:
        """Run every job that waits and that nobody else runs, those that came meanwhile included."""
        cursor: int | None = None
        while True:
            page = self._waiting(cursor)
            for job in page.jobs:
                self._run_if_free(job)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _run_if_free(self, job: Job) -> None:
        try:
            file = self._spool.claim(job.job_id)
        except FileNotFoundError:
            detail = "the body of the job is no longer in the spool of the server"
            if self._end(partial(fail_job, job.job_id, detail)) is not None:
                _log.error("job %s failed: %s", job.job_id, detail, extra={"job_id": job.job_id})
            return
        if file is None:
            return
        with file:
            if (started := self._write(partial(start_job, job.job_id, self._now()))) is not None:
                self._run(started, file)
            self._spool.discard(job.job_id)

    def _run(self, job: Job, file: SpoolFile) -> None:
        try:
            if not self._take_all(job, file):
                return
        except (_StoppedError, StoreClosedError, StoreForkedError):
            raise
        except RunsinkError as error:
            self._end(partial(fail_job, job.job_id, str(error)))
        except Exception:  # noqa: BLE001 - it is logged, see below
            # A body that breaks the program would do so again and again.
            _log.exception("job %s failed", job.job_id, extra={"job_id": job.job_id})
            self._end(partial(fail_job, job.job_id, "the server failed to read the body; its log says more"))
        else:
            self._end(partial(finish_job, job.job_id))

    def _take_all(self, job: Job, file: SpoolFile) -> bool:
        """Take the rest of a body, chunk by chunk; return whether the job was there to the end."""
        done = 0
        for done, chunk in self._chunks(job, file):
            command = partial(advance_job, job.job_id, chunk, done)
            if (advanced := self._write(command)) is None:
                return False
            self._application.note(Intake.JOB, added_by_chunk(job.result, advanced.result))
            job = advanced
        return True

    def _chunks(self, job: Job, file: SpoolFile) -> Iterator[tuple[int, Chunk]]:
        """Draw the chunks that are still to be taken, each with how many bytes of the body were read for it."""
        stream = self._streams.begin(job.format, job.coding, job.result.last_line)
        done = 0
        while piece := file.read(PIECE_BYTES):
            self._check_stopping()
            done += len(piece)
            for chunk in stream.feed(piece):
                yield done, chunk
        for chunk in stream.finish():
            yield done, chunk

    def _end(self, change: Callable[[Timestamp, UnitOfWork], Job | None]) -> Job | None:
        ended = self._write(partial(change, self._now()))
        if ended is not None:
            _log_end(ended)
        return ended

    def _write(self, command: Callable[[UnitOfWork], _T]) -> _T:
        """Carry out a command, again and again while the store fails, and return once it is durable.

        So every command has to do nothing when it was carried out before.
        """
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._check_stopping()
            try:
                return self._application.write(command).result()
            except (StoreClosedError, StoreForkedError):
                raise
            except StoreError as error:
                _log.warning("a job waits for the store: %s", error)
            if self._stopping.wait(pause):
                raise _StoppedError
            pause = min(2 * pause, LAST_PAUSE_SECONDS)

    def _check_stopping(self) -> None:
        if self._stopping.is_set():
            raise _StoppedError

    def _job(self, job_id: JobId) -> Job | None:
        with self._application.store.job_reader() as jobs:
            return jobs.get(job_id)

    def _waiting(self, cursor: int | None) -> JobPage:
        with self._application.store.job_reader() as jobs:
            return list_waiting(self._spool.identity, cursor, _PAGE_JOBS, jobs)

    def _now(self) -> Timestamp:
        return self._application.clock.now()


def _log_end(job: Job) -> None:
    counts = {f"runs_{name}": getattr(job.result, name) for name in ("created", "existing", "failed")}
    _log.info("job ended", extra={"job_id": job.job_id, "state": job.state.value, **counts})
