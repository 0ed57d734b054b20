"""The unit of work on PostgreSQL: one transaction on a pooled connection."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import psycopg
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from adapters.lifetime import Lifetime
from adapters.postgres.errors import ROLLED_BACK, translated_errors
from adapters.postgres.job_repository import PostgresJobRepository
from adapters.postgres.privileges import check_privileges
from adapters.postgres.run_repository import KnownHorizon, PostgresRunRepository
from adapters.postgres.version import change_version
from core.errors import StoreBusyError, StoreError
from core.ports.cancellation import Cancellation
from core.ports.unit_of_work import UnitOfWork


class PostgresUnitOfWork(UnitOfWork):
    """Holds the store's lock and a connection from entry to exit.

    It uses READ COMMITTED, so that a statement sees what other servers committed before it began: of two that add the
    same key, the second waits for the first and then finds its run.

    It uses pipeline mode, so that only reads wait for a response: one round trip for a command and one for the commit,
    instead of four and one. An error of a statement that does not read is raised by the next one that does, or by the
    commit.
    """

    def __init__(self, pool: ConnectionPool, lifetime: Lifetime, slot: int, known_horizon: KnownHorizon) -> None:
        self._pool = pool
        self._lifetime = lifetime
        self._slot = slot
        self._known_horizon = known_horizon

    @property
    def runs(self) -> PostgresRunRepository:
        return self._runs

    @property
    def jobs(self) -> PostgresJobRepository:
        return self._jobs

    def __enter__(self) -> Self:
        self._lifetime.acquire()
        try:
            with translated_errors():
                self._connection = self._pool.getconn()
        except BaseException:
            self._lifetime.release()
            raise
        self._mode = self._connection.pipeline()
        try:
            with translated_errors():
                self._pipeline = self._mode.__enter__()
            self._execute("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")
        except BaseException:
            self._release()
            raise
        self._runs = PostgresRunRepository(self._connection, self._slot, self._known_horizon)
        self._jobs = PostgresJobRepository(self._connection, Cancellation().check, writing=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        self._execute("SAVEPOINT nested")
        try:
            yield
        except BaseException:
            self._runs.forget_horizon()
            # After an error, nothing is executed until the next synchronisation point.
            with suppress(psycopg.Error):
                self._pipeline.sync()
            # A lost connection ends the whole transaction.
            if self._connection.info.transaction_status != TransactionStatus.UNKNOWN:
                self._execute("ROLLBACK TO SAVEPOINT nested")
                self._execute("RELEASE SAVEPOINT nested")
            raise
        self._execute("RELEASE SAVEPOINT nested")

    def check_writable(self) -> None:
        with translated_errors():
            check_privileges(self._connection)

    def commit(self) -> None:
        try:
            with translated_errors():
                if self._runs.changed or self._jobs.changed:
                    change_version(self._connection, self._slot)
                cursor = self._connection.execute("COMMIT")
                self._pipeline.sync()
        except StoreBusyError as error:
            if self._connection.info.transaction_status == TransactionStatus.UNKNOWN:
                raise StoreBusyError(
                    "the connection to the database was lost during the commit, so the outcome is unknown; "
                    "send the same again"
                ) from error
            raise
        # If a statement of the transaction failed, PostgreSQL rolls back without an error.
        if cursor.statusmessage != "COMMIT":
            raise StoreError(ROLLED_BACK)

    def _release(self) -> None:
        try:
            # A connection that cannot roll back is broken, so the database does it.
            with suppress(psycopg.Error):
                self._mode.__exit__(None, None, None)
            with suppress(psycopg.Error):
                self._connection.rollback()
            self._pool.putconn(self._connection)
        finally:
            self._lifetime.release()

    def _execute(self, sql: str) -> None:
        with translated_errors():
            self._connection.execute(sql.encode())
