"""The run store in one SQLite file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock

import apsw

from adapters.sqlite.connection import open_reader, open_writer
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.repository import SqliteRunRepository
from adapters.sqlite.unit_of_work import SqliteUnitOfWork
from core.ports.repository import RunReader
from core.ports.store import Store


class SqliteStore(Store):
    """One connection that writes, and readers beside it, each with a connection of its own.

    A file that does not exist is created. Several processes may have the same file open.

    Raises:
        StoreUnusableError: the file cannot serve.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = open_writer(path)
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
            connection.execute("ROLLBACK")
            self._idle_readers.put(connection)

    def close(self) -> None:
        while not self._idle_readers.empty():
            self._idle_readers.get().close()
        with translated_errors():
            self._writer.close()

    def _take_reader(self) -> apsw.Connection:
        try:
            return self._idle_readers.get_nowait()
        except Empty:
            return open_reader(self._path)
