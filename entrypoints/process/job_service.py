"""The spool and the runner of jobs of one process, which come into being when there is a job."""

import logging
from pathlib import Path
from threading import Lock
from typing import Final

from adapters.spool import Spool
from core.errors import StoreClosedError, StoreUnusableError
from core.model.job import JobId
from entrypoints.application import Application
from entrypoints.database_urls import is_url
from entrypoints.process.job_runner import JobRunner
from entrypoints.settings import Settings

_log: Final = logging.getLogger("runsink")


class JobService:
    """Runs what an earlier process left in the spool at once, and what comes as it comes.

    Its methods may be called from any thread.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        self._application = application
        self._settings = settings
        self._directory = spool_directory(settings)
        self._lock = Lock()
        self._spool: Spool | None = None
        self._runner: JobRunner | None = None
        self._closed = False
        if self._directory.is_dir():
            try:
                self.spool()
            except StoreUnusableError as error:
                # Runs can be stored all the same; whoever sends a job is told.
                _log.error("jobs are not run: %s", error)

    def spool(self) -> Spool:
        """Return the spool, which is made if it is missing.

        Raises:
            StoreUnusableError: the directory cannot serve.
            StoreClosedError: after ``close``.
        """
        with self._lock:
            if self._closed:
                raise StoreClosedError
            if self._spool is None:
                self._spool = Spool(self._directory, self._settings.spool_bytes)
                self._runner = JobRunner(self._application, self._spool, self._settings.job_keep_days)
            return self._spool

    def wake(self) -> None:
        """Have the runner look for a job that was just queued."""
        if self._runner is not None:
            self._runner.wake()

    def discard(self, job_id: JobId) -> None:
        """Remove the body of a job that is finished or gone, unless it is being read just now."""
        if self._spool is not None:
            self._spool.remove(job_id)

    def close(self, within: float | None) -> None:
        """Stop after the chunk that is being written; what is left undone is done at the next start."""
        with self._lock:
            self._closed = True
        if self._runner is not None:
            self._runner.close(within)


def spool_directory(settings: Settings) -> Path:
    """Return where the bodies of jobs are kept."""
    if settings.spool is not None:
        return settings.spool
    return Path("runsink-spool") if is_url(settings.db) else Path(f"{settings.db}-spool")
