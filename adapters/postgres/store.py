"""The run store in a PostgreSQL database."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from secrets import randbelow
from threading import Thread
from typing import Any, Final

import psycopg
from psycopg.sql import SQL

from adapters.lifetime import Lifetime
from adapters.postgres.connection import open_pool
from adapters.postgres.errors import translated_errors
from adapters.postgres.job_repository import PostgresJobRepository
from adapters.postgres.read_deadline import ReadDeadline
from adapters.postgres.refusal_repository import PostgresRefusalRepository
from adapters.postgres.run_reader import PostgresRunReader
from adapters.postgres.run_repository import KnownHorizon
from adapters.postgres.schema import SLOTS
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from core.errors import ReadCancelledError, StoreBusyError, StoreTimeoutError
from core.model.limits import Limits
from core.model.store_figures import StoreFigures
from core.ports.cancellation import Cancellation
from core.ports.job_repository import JobReader
from core.ports.run_repository import RunReader
from core.ports.store import Store

_SIZE: Final = "SELECT pg_database_size(current_database())"
_OLDEST: Final = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(xact_start)), 0)::float8
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
"""Of the transactions of other roles, only a member of ``pg_read_all_stats`` sees the age."""

CANCEL_SECONDS: Final = 5.0
"""How long the database may take to receive a cancellation."""


class PostgresStore(Store):
    """A connection pool: one unit of work at a time, and concurrent readers.

    Missing tables are created. Any number of processes may use the same database. Of the limits, ``max_read_seconds``
    is enforced here.

    Raises:
        StoreUnusableError: the database cannot be used.
    """

    def __init__(self, url: str, shown: str, limits: Limits) -> None:
        self._max_read_seconds = limits.max_read_seconds
        self._begin_reading = SQL(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {}"
        ).format(f"{limits.max_read_seconds}s")
        self._pool = open_pool(url, shown)
        self._lifetime = Lifetime()
        self._slot = randbelow(SLOTS)
        self._known_horizon = KnownHorizon()

    def unit_of_work(self) -> PostgresUnitOfWork:
        return PostgresUnitOfWork(self._pool, self._lifetime, self._slot, self._known_horizon)

    @contextmanager
    def reader(self, cancellation: Cancellation | None = None) -> Iterator[RunReader]:
        cancellation = cancellation or Cancellation()
        with self._reading(cancellation) as connection:
            yield PostgresRunReader(connection, self._deadline(connection, cancellation).check)

    @contextmanager
    def job_reader(self, cancellation: Cancellation | None = None) -> Iterator[JobReader]:
        cancellation = cancellation or Cancellation()
        with self._reading(cancellation) as connection:
            yield PostgresJobRepository(connection, self._deadline(connection, cancellation).check, writing=False)

    def refusals(self, keep: int) -> PostgresRefusalRepository:
        return PostgresRefusalRepository(self._pool, keep)

    def check_room(self) -> None:
        """Nothing: how full the disk of the database is cannot be asked."""

    def measure(self) -> StoreFigures:
        cancellation = Cancellation()
        with self._reading(cancellation) as connection:
            size, oldest = _figure(connection, _SIZE), _figure(connection, _OLDEST)
            jobs = PostgresJobRepository(
                connection, self._deadline(connection, cancellation).check, writing=False
            ).counts()
        return StoreFigures(jobs=jobs, database_bytes=size, oldest_transaction_seconds=oldest)

    def maintain(self, *, quiet: bool) -> None:
        """Nothing: PostgreSQL keeps house by itself."""

    def close(self) -> None:
        if self._lifetime.end():
            self._pool.close()

    def _deadline(self, connection: psycopg.Connection, cancellation: Cancellation) -> ReadDeadline:
        return ReadDeadline(connection, cancellation, self._max_read_seconds)

    @contextmanager
    def _reading(self, cancellation: Cancellation) -> Iterator[psycopg.Connection]:
        self._lifetime.check()
        with translated_errors():
            connection = self._pool.getconn()
        try:
            with translated_errors(), cancellation.calling(partial(_cancel, connection)):
                connection.execute(self._begin_reading)
                yield connection
        except StoreBusyError as error:
            if cancellation.requested:
                raise ReadCancelledError from error
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise StoreTimeoutError from error
            raise
        finally:
            # A connection that cannot roll back is broken, so the database does it.
            with suppress(psycopg.Error):
                # A cancellation may arrive late, and must not hit the next user of the connection.
                connection.close() if cancellation.requested else connection.rollback()
            self._pool.putconn(connection)


def _figure(connection: psycopg.Connection, sql: str) -> Any:
    """Return a figure; ``None`` if this engine has no such function or the role may not use it."""
    try:
        with connection.transaction():
            ((figure,),) = connection.execute(sql.encode()).fetchall()
    except psycopg.ProgrammingError:
        return None
    return figure


def _cancel(connection: psycopg.Connection) -> None:
    """Cancel what the connection is doing; in a thread, because this takes another connection."""
    Thread(target=_cancel_and_wait, args=(connection,), name="runsink-cancel", daemon=True).start()


def _cancel_and_wait(connection: psycopg.Connection) -> None:
    # If the database cannot be reached, the read fails by itself.
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_SECONDS)
