"""The run store in one SQLite file."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import apsw

from adapters.lifetime import Lifetime
from adapters.sqlite import forks
from adapters.sqlite.connection import BUSY_TIMEOUT_MS, WAL_CAP_BYTES, open_reader, open_writer, wait_for_locks
from adapters.sqlite.disk_space import MIB, file_bytes, free_bytes
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.file import resolve, wal_of
from adapters.sqlite.job_repository import SqliteJobRepository
from adapters.sqlite.refusal_repository import SqliteRefusalRepository, refusals_of
from adapters.sqlite.run_repository import SqliteRunRepository
from adapters.sqlite.unit_of_work import SqliteUnitOfWork
from core.errors import ReadCancelledError, StoreFullError, StoreTimeoutError
from core.model.limits import Limits
from core.model.store_figures import StoreFigures
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.observer import Observer, Unobserved
from core.ports.run_repository import RunReader
from core.ports.store import Store

CHECKPOINT_PAGES: Final = 4_096
"""At a quiet moment, the WAL is checkpointed once it has this many pages (16 MiB): few enough to finish before a client
sends its next batch, and enough to write pages that change often only once."""

WAL_CAP_PAGES: Final = WAL_CAP_BYTES // 4_096

WAL_RESET_WAIT_MS: Final = 250
"""How long writes wait for readers to release a WAL past its cap, once per ``CHECKPOINT_PAGES``."""

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
        self._wal_pages = 0
        self._patient_from = WAL_CAP_PAGES + CHECKPOINT_PAGES
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
        """Checkpoint the WAL, at a quiet moment or when it reaches its cap.

        SQLite restarts a WAL by itself only when nobody is reading from it; otherwise it grows. So past its cap it is
        forced to restart, and its file is truncated.
        """
        pages = self._wal_pages
        if pages < (CHECKPOINT_PAGES if quiet else WAL_CAP_PAGES):
            return
        patient = pages >= self._patient_from
        if patient:
            self._patient_from = pages + CHECKPOINT_PAGES
        # Where another process is checkpointing already, there is nothing to do. A reader may keep the end of the
        # WAL in use; the next checkpoint, or the one after, gets there.
        with (
            self._lifetime,
            forks.at_work(),
            translated_errors(self._writer),
            suppress(apsw.BusyError),
            self._observed(),
        ):
            if patient or (quiet and pages >= WAL_CAP_PAGES):
                self._empty_wal(WAL_RESET_WAIT_MS if patient else 0)
            else:
                self._copy_wal()

    def close(self) -> None:
        if not self._lifetime.end():
            return
        with forks.at_work(), translated_errors():
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

    def _empty_wal(self, wait_ms: int) -> None:
        wait_for_locks(self._writer, wait_ms)
        try:
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._wal_pages = 0
            self._patient_from = WAL_CAP_PAGES + CHECKPOINT_PAGES
        finally:
            wait_for_locks(self._writer, BUSY_TIMEOUT_MS)

    def _copy_wal(self) -> None:
        """Copy what no reader needs from the WAL; raise ``apsw.BusyError`` if that is not everything."""
        in_wal, copied = self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        if copied < in_wal:
            raise apsw.BusyError("a reader needs the rest of the WAL")

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """Tell the observer of the checkpoint in the block; one that raises ``apsw.BusyError`` was held up."""
        begun = time.perf_counter()
        try:
            yield
        except apsw.BusyError:
            self._observer.note_checkpoint(time.perf_counter() - begun, complete=False)
            raise
        self._observer.note_checkpoint(time.perf_counter() - begun, complete=True)

    def _note_wal_size(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        if pages < self._wal_pages:
            # Perhaps by another process, so that no checkpoint is due here for a long time.
            self._observer.note_wal_restart()
            self._patient_from = WAL_CAP_PAGES + CHECKPOINT_PAGES
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
