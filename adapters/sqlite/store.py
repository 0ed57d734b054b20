"""The run store in one SQLite file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import apsw
import attrs

from adapters.lifetime import Lifetime
from adapters.sqlite import forks
from adapters.sqlite.checkpoints import Checkpoint, Checkpointer, copy_wal, empty_wal
from adapters.sqlite.connection import WAL_CAP_BYTES, open_reader, open_writer
from adapters.sqlite.disk_space import MIB, file_bytes, free_bytes
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.file import resolve, wal_of
from adapters.sqlite.job_repository import SqliteJobRepository
from adapters.sqlite.refusal_repository import SqliteRefusalRepository, refusals_of
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.unit_of_work import SqliteUnitOfWork
from core.errors import ReadCancelledError, StoreError, StoreFullError, StoreTimeoutError
from core.model.limits import Limits
from core.model.store_figures import StoreFigures
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.observer import Observer, Unobserved
from core.ports.run_repository import RunReader
from core.ports.store import Store

CHECKPOINT_PAGES: Final = 8_192
"""The WAL is checkpointed once it has this many pages (32 MiB): few enough that it is copied before it reaches its cap,
and enough to write pages that change often only once."""

REST_PAGES: Final = 512
"""How many pages the writer copies itself, so that the WAL restarts (2 MiB): few enough for a short pause."""

WAL_CAP_PAGES: Final = WAL_CAP_BYTES // 4_096

WAL_RESET_WAIT_MS: Final = 250
"""How long writes wait for readers to release a WAL past its cap, once per ``WAL_RESET_PAGES``."""

WAL_RESET_PAGES: Final = 4_096

MIN_FREE_BYTES: Final = MIB
"""With less free space, the next batch may well find the disk full."""

PROGRESS_STEPS: Final = 100_000
"""How many steps of SQLite's virtual machine lie between two checks of the clock in a read: a few milliseconds."""

_DEFAULT_LIMITS: Final = Limits()


class SqliteStore(Store):
    """One connection that writes, and concurrent readers, each with its own connection.

    A missing file is created, private to its owner. Several processes may have the same file open. The path is
    resolved once, here. Of the limits, ``max_read_seconds`` is enforced here. ``observer`` is told of checkpoints.

    Raises:
        StoreUnusableError: the file cannot be used.
    """

    def __init__(self, path: Path, limits: Limits = _DEFAULT_LIMITS, observer: Observer | None = None) -> None:
        self._path = resolve(path)
        self._observer = observer or Unobserved()
        self._max_read_seconds = limits.max_read_seconds
        self._writer = open_writer(self._path)
        self._writer.set_wal_hook(self._note_wal_size)
        self._checkpointer = Checkpointer(self._path)
        self._writer_checkpoints = False
        self._wal_pages = 0
        self._copied_pages = 0
        self._restarted = False
        self._patient_from = WAL_CAP_PAGES + WAL_RESET_PAGES
        self._lifetime = Lifetime()
        self._free_when_full: int | None = None
        self._idle_readers: SimpleQueue[apsw.Connection] = SimpleQueue()

    def unit_of_work(self) -> SqliteUnitOfWork:
        return SqliteUnitOfWork(self._writer, self._lifetime, self._note_end)

    @contextmanager
    def reader(self, cancellation: Cancellation | None = None) -> Iterator[RunReader]:
        with self._reading(cancellation) as connection:
            yield SqliteRunRepository(connection)

    @contextmanager
    def job_reader(self, cancellation: Cancellation | None = None) -> Iterator[JobReader]:
        with self._reading(cancellation) as connection:
            yield SqliteJobRepository(connection)

    def refusals(self, keep: int) -> SqliteRefusalRepository:
        return SqliteRefusalRepository(refusals_of(self._path), keep)

    def check_room(self) -> None:
        """See the port. After a write that found the disk full, there must be more space than there was then.

        Some limits, such as a user's quota, show in no number that can be queried.
        """
        free, then = free_bytes(self._path), self._free_when_full
        if free < MIN_FREE_BYTES or (then is not None and free <= then):
            raise StoreFullError("the disk is full")

    def measure(self) -> StoreFigures:
        with self.job_reader() as jobs:
            counts = jobs.counts()
        return StoreFigures(
            jobs=counts,
            database_bytes=file_bytes(self._path),
            wal_bytes=file_bytes(wal_of(self._path)),
            free_bytes=free_bytes(self._path),
        )

    def maintain(self, *, quiet: bool) -> None:
        """Checkpoint the WAL: beside the writer from ``CHECKPOINT_PAGES``, and here when it reaches its cap.

        SQLite restarts a WAL by itself only when all of it is copied and nobody is reading from it; otherwise it
        grows. So what was written during a checkpoint is copied here, and past its cap the WAL is forced to restart,
        and its file is truncated.
        """
        if self._wal_pages < CHECKPOINT_PAGES and self._checkpointer.idle:
            return
        with self._lifetime, forks.at_work():
            self._take_checkpoint(wait=self._wal_pages >= WAL_CAP_PAGES)
            if self._wal_pages >= WAL_CAP_PAGES:
                self._checkpoint_overdue(quiet=quiet)
            elif self._wal_pages >= CHECKPOINT_PAGES and self._checkpointer.idle:
                self._checkpoint_due(quiet=quiet)

    def close(self) -> None:
        if not self._lifetime.end():
            return
        with forks.at_work(), translated_errors():
            self._checkpointer.close()
            self._close_idle_readers()
            self._writer.close()

    @contextmanager
    def _reading(self, cancellation: Cancellation | None) -> Iterator[apsw.Connection]:
        self._lifetime.check()
        cancellation = cancellation or Cancellation()
        cancellation.check()
        with forks.at_work():
            with translated_errors():
                connection = self._take_reader()
                deadline = time.monotonic() + self._max_read_seconds
                connection.set_progress_handler(
                    lambda: cancellation.requested or time.monotonic() > deadline, PROGRESS_STEPS
                )
                connection.execute("BEGIN")
            try:
                yield connection
            except StoreTimeoutError as error:
                if cancellation.requested:
                    raise ReadCancelledError from error
                raise
            finally:
                # A failing disk makes SQLite end the transaction by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._idle_readers.put(connection)
                # Closing the store, meanwhile, has left this connection to us.
                if self._lifetime.ended:
                    self._close_idle_readers()

    def _note_end(self, error: BaseException | None) -> None:
        self._free_when_full = free_bytes(self._path) if isinstance(error, StoreFullError) else None

    def _take_checkpoint(self, *, wait: bool) -> None:
        """Note what became of a checkpoint beside the writer; after one that failed, the writer checkpoints."""
        try:
            checkpoint = self._checkpointer.take(wait=wait)
        except StoreError:
            self._writer_checkpoints = True
            raise
        if checkpoint is None:
            return
        if self._restarted:
            # Another process has emptied the WAL since, or this one has, so nobody holds it up any more.
            checkpoint = attrs.evolve(checkpoint, copied=0, complete=True)
        self._note_checkpoint(checkpoint)

    def _checkpoint_due(self, *, quiet: bool) -> None:
        """Copy the rest of a WAL that is nearly copied, or start to copy it."""
        if self._wal_pages - self._copied_pages <= REST_PAGES:
            self._checkpoint_here()
        elif not self._writer_checkpoints and self._checkpointer.start():
            self._restarted = False
        elif quiet:
            self._checkpoint_here()

    def _checkpoint_overdue(self, *, quiet: bool) -> None:
        # Where another process is checkpointing already, there is nothing to do. A reader may keep the end of the
        # WAL in use; the next checkpoint, or the one after, gets there.
        patient = self._wal_pages >= self._patient_from
        if patient:
            self._patient_from = self._wal_pages + WAL_RESET_PAGES
        if not (patient or quiet):
            self._checkpoint_here()
            return
        with translated_errors(self._writer):
            checkpoint = empty_wal(self._writer, WAL_RESET_WAIT_MS if patient else 0)
        if checkpoint.complete:
            self._wal_pages = 0
            self._patient_from = WAL_CAP_PAGES + WAL_RESET_PAGES
        self._note_checkpoint(checkpoint)

    def _checkpoint_here(self) -> None:
        with translated_errors(self._writer):
            checkpoint = copy_wal(self._writer)
        self._writer_checkpoints = False
        self._note_checkpoint(checkpoint)

    def _note_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._copied_pages = checkpoint.copied
        self._observer.note_checkpoint(checkpoint.seconds, complete=checkpoint.complete)

    def _note_wal_size(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        if pages < self._wal_pages:
            # Perhaps by another process, so that no checkpoint is due here for a long time.
            self._observer.note_wal_restart()
            self._copied_pages = 0
            self._restarted = True
            self._patient_from = WAL_CAP_PAGES + WAL_RESET_PAGES
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _close_idle_readers(self) -> None:
        with suppress(Empty):
            while True:
                self._idle_readers.get_nowait().close()

    def _take_reader(self) -> apsw.Connection:
        try:
            return self._idle_readers.get_nowait()
        except Empty:
            return open_reader(self._path)
