"""The run store in one SQLite file."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Final

import apsw

from adapters.sqlite.connection import WAL_CAP_BYTES, open_reader, open_writer
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.repository import SqliteRunRepository
from adapters.sqlite.unit_of_work import SqliteUnitOfWork
from core.ports.repository import RunReader
from core.ports.store import Store

CHECKPOINT_PAGES: Final = 4_096
"""The WAL is checkpointed at a quiet moment once it has so many pages (16 MiB): few enough to be done in the time
that a client takes to send its next batch, many enough to write pages once that changed often."""

WAL_CAP_PAGES: Final = WAL_CAP_BYTES // 4_096


class SqliteStore(Store):
    """One connection that writes, and readers beside it, each with a connection of its own.

    A file that does not exist is created. Several processes may have the same file open.

    Raises:
        StoreUnusableError: the file cannot serve.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = open_writer(path)
        self._writer.set_wal_hook(self._note_wal_size)
        self._wal_pages = 0
        self._lock = Lock()
        self._idle_readers: SimpleQueue[apsw.Connection] = SimpleQueue()

    def unit_of_work(self) -> SqliteUnitOfWork:
        return SqliteUnitOfWork(self._writer, self._lock)

    @contextmanager
    def reader(self) -> Iterator[RunReader]:
        with translated_errors():
            connection = self._take_reader()
            connection.execute("BEGIN")
        try:
            yield SqliteRunRepository(connection)
        finally:
            # A failing disk makes SQLite end the transaction by itself.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._idle_readers.put(connection)

    def maintain(self, *, quiet: bool) -> None:
        """Checkpoint the WAL, at a quiet moment or when it reaches its cap."""
        if self._wal_pages < (CHECKPOINT_PAGES if quiet else WAL_CAP_PAGES):
            return
        # Where another process is checkpointing already, there is nothing to do.
        with self._lock, translated_errors(), suppress(apsw.BusyError):
            # A reader may keep the end of the WAL in use; the next checkpoint, or the one after, gets there.
            self._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def close(self) -> None:
        while not self._idle_readers.empty():
            self._idle_readers.get().close()
        with translated_errors():
            self._writer.close()

    def _note_wal_size(self, _connection: apsw.Connection, _database: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _take_reader(self) -> apsw.Connection:
        try:
            return self._idle_readers.get_nowait()
        except Empty:
            return open_reader(self._path)
