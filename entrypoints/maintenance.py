"""Check, back up and restore the database that a setting names."""

from contextlib import closing
from pathlib import Path
from typing import Final

import attrs

from adapters.spool import Spool
from adapters.sqlite import SqliteStore
from adapters.sqlite.maintenance import CopyProgress, back_up, check_file, restore
from adapters.store_check import Advance, StoreReport
from adapters.system_clock import SystemClock
from core.errors import RunsinkError
from core.use_cases.jobs import fail_jobs_elsewhere
from entrypoints.database_urls import is_url, shown_database
from entrypoints.databases import require_postgres

_LOST_BODY: Final = "the store was restored from a backup, which does not have the body of the job; send it again"


class NoFileError(RunsinkError):
    """A command that copies files was given a database that is none; the message says what to use."""


@attrs.frozen
class Restored:
    """A store that was restored.

    ``failed_jobs`` were unfinished, and their bodies are not in the spool. ``unknown_bodies`` are in the spool, but the
    backup knows nothing of their jobs, so a server will remove them.
    """

    report: StoreReport
    failed_jobs: int
    unknown_bodies: int


def check_database(database: str, advance: Advance) -> StoreReport:
    """Check a database; what is wrong with it is in the report.

    Raises:
        StoreError: it cannot be checked.
    """
    if not is_url(database):
        return check_file(Path(database), advance)
    require_postgres(database)
    # Imported here because a file needs no packages for PostgreSQL.
    from adapters.postgres.maintenance import check_postgres  # noqa: PLC0415

    return check_postgres(database, shown_database(database), advance)


def back_up_database(database: str, file: Path, progress: CopyProgress) -> StoreReport:
    """Copy a database, which may be in use, into a new file; return the report on that.

    Raises:
        NoFileError: the database is not a file.
        StoreError: there is no backup; the message says why.
    """
    if is_url(database):
        raise NoFileError(
            f"{shown_database(database)} is not a file; use pg_dump, or copy its runs into a file with "
            "`runsink migrate-store URL FILE` while no server writes"
        )
    return back_up(Path(database), file, progress)


def restore_database(file: Path, database: str, spool: Path, progress: CopyProgress) -> Restored:
    """Copy a backup to where a server expects its database and its spool of jobs.

    Raises:
        NoFileError: the database is not a file.
        StoreError: nothing was restored; the message says why.
    """
    if is_url(database):
        raise NoFileError(
            f"{shown_database(database)} is not a file; use `runsink migrate-store FILE URL` to copy a backup into it"
        )
    settled = _SettledJobs(spool)
    report = restore(file, Path(database), progress, settled.settle)
    return Restored(report, settled.failed_jobs, settled.unknown_bodies)


class _SettledJobs:
    """The jobs of a restored store, settled with what is in the spool. The store itself has no bodies."""

    def __init__(self, spool: Path) -> None:
        self._spool = Spool(spool, max_bytes=0) if spool.is_dir() else None
        self.failed_jobs = 0
        self.unknown_bodies = 0

    def settle(self, path: Path) -> None:
        """Fail the jobs whose bodies are elsewhere, since nobody would ever run them; count bodies without a job."""
        identity = self._spool.identity if self._spool else None
        with closing(SqliteStore(path)) as store:
            with store.unit_of_work() as work:
                self.failed_jobs = fail_jobs_elsewhere(identity, _LOST_BODY, SystemClock().now(), work)
                work.commit()
            with store.job_reader() as jobs:
                found = [jobs.get(job_id) for job_id in (self._spool.job_ids() if self._spool else ())]
        self.unknown_bodies = sum(job is None or job.finished for job in found)
