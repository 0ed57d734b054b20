"""The refusal repository on PostgreSQL, in tables of its own that all servers share."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres.errors import translated_errors
from adapters.postgres.placeholders import with_placeholders
from adapters.sql_refusals import SqlRefusalRepository, Statements


class _Statements(Statements):
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, bindings: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(with_placeholders(sql), tuple(bindings)).fetchall()

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(with_placeholders(sql), rows)


class PostgresRefusalRepository(SqlRefusalRepository):
    """Refusals over connections of the store's pool."""

    locking = " FOR UPDATE"
    position = "strpos"

    def __init__(self, pool: ConnectionPool, keep: int) -> None:
        super().__init__(keep)
        self._pool = pool

    def close(self) -> None:
        """Do nothing: the connections are those of the store."""

    def _writing(self) -> AbstractContextManager[Statements]:
        return self._transaction(b"BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE")

    def _reading(self) -> AbstractContextManager[Statements]:
        return self._transaction(b"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    @contextmanager
    def _transaction(self, begin: bytes) -> Iterator[Statements]:
        # Leaving the inner block commits, or rolls back after an error.
        with translated_errors(), self._pool.connection() as connection:
            connection.execute(begin)
            yield _Statements(connection)
