"""The run store in a PostgreSQL database."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from secrets import randbelow

import psycopg
from psycopg.sql import SQL

from adapters.lifetime import Lifetime
from adapters.postgres.connection import open_pool
from adapters.postgres.errors import translated_errors
from adapters.postgres.repository import TALLY_SLOTS, PostgresRunReader
from adapters.postgres.unit_of_work import PostgresUnitOfWork
from core.batch import Limits
from core.errors import StoreBusyError, StoreTimeoutError
from core.ports.repository import RunReader
from core.ports.store import Store


class PostgresStore(Store):
    """A pool of connections: one unit of work at a time, and readers beside it.

    Tables that do not exist are created. Any number of processes may use the same database. Of the limits,
    ``max_read_seconds`` is kept here.

    Raises:
        StoreUnusableError: the database cannot serve.
    """

    def __init__(self, url: str, shown: str, limits: Limits) -> None:
        self._begin_reading = SQL(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {}"
        ).format(f"{limits.max_read_seconds}s")
        self._pool = open_pool(url, shown)
        self._lifetime = Lifetime()
        self._slot = randbelow(TALLY_SLOTS)

    def unit_of_work(self) -> PostgresUnitOfWork:
        return PostgresUnitOfWork(self._pool, self._lifetime, self._slot)

    @contextmanager
    def reader(self) -> Iterator[RunReader]:
        self._lifetime.check()
        with translated_errors():
            connection = self._pool.getconn()
        try:
            with translated_errors():
                connection.execute(self._begin_reading)
            yield PostgresRunReader(connection)
        except StoreBusyError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                raise StoreTimeoutError from error
            raise
        finally:
            # A connection that cannot roll back is broken, and then the database does it.
            with suppress(psycopg.Error):
                connection.rollback()
            self._pool.putconn(connection)

    def check_room(self) -> None:
        """Nothing: how full the disk of the database is cannot be asked."""

    def maintain(self, *, quiet: bool) -> None:
        """Nothing: PostgreSQL keeps house by itself."""

    def close(self) -> None:
        if self._lifetime.end():
            self._pool.close()
