"""The unit of work on SQLite: one immediate transaction on the writing connection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import apsw

from adapters.lifetime import Lifetime
from adapters.sqlite import forks
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.job_repository import SqliteJobRepository
from adapters.sqlite.run_repository import SqliteRunRepository
from core.ports.unit_of_work import UnitOfWork


class SqliteUnitOfWork(UnitOfWork):
    """Holds the writing connection and SQLite's write lock from entry to exit.

    It uses plain ``BEGIN`` and ``COMMIT`` statements, because APSW's ``with connection`` holds the GIL while it waits
    for locks and for the disk. Before the lock is released, ``note_end`` is called with the error, if any.
    """

    def __init__(
        self, connection: apsw.Connection, lifetime: Lifetime, note_end: Callable[[BaseException | None], None]
    ) -> None:
        self._connection = connection
        self._lifetime = lifetime
        self._note_end = note_end
        self._runs = SqliteRunRepository(connection)
        self._jobs = SqliteJobRepository(connection)
        self._changes_before = 0

    @property
    def runs(self) -> SqliteRunRepository:
        return self._runs

    @property
    def jobs(self) -> SqliteJobRepository:
        return self._jobs

    def __enter__(self) -> Self:
        self._lifetime.acquire()
        forks.begin_work(self)
        try:
            self._execute("BEGIN IMMEDIATE")
            self._changes_before = self._connection.total_changes()
        except BaseException:
            forks.end_work(self)
            self._lifetime.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._note_end(error)
            if self._in_transaction():
                self._execute("ROLLBACK")
        finally:
            forks.end_work(self)
            self._lifetime.release()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._execute("SAVEPOINT nested")
        last_arrival = self._runs.arrivals.last
        try:
            yield
        except BaseException:
            # On a full disk, SQLite rolls back the whole transaction by itself.
            if self._in_transaction():
                self._execute("ROLLBACK TO nested")
                self._execute("RELEASE nested")
            self._runs.arrivals.last = last_arrival
            raise
        self._execute("RELEASE nested")

    def check_writable(self) -> None:
        """Do nothing: entering acquired the write lock, which is impossible with a read-only file."""

    def commit(self) -> None:
        if self._connection.total_changes() > self._changes_before:
            with translated_errors(self._connection):
                self._runs.arrivals.keep()
        self._execute("COMMIT")

    def _in_transaction(self) -> bool:
        return self._connection.in_transaction

    def _execute(self, sql: str) -> None:
        with translated_errors(self._connection):
            self._connection.execute(sql)
