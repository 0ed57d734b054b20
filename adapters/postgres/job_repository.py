"""The job repository over PostgreSQL."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from adapters.postgres.errors import translated_errors
from adapters.postgres.placeholders import with_placeholders
from adapters.postgres.version import read_version
from adapters.sql_jobs import SqlJobRepository
from core.model.store_version import StoreVersion


class PostgresJobRepository(SqlJobRepository):
    """The jobs as one transaction sees them. ``check`` is called before each read, and ends it by raising.

    ``writing`` says whether the transaction is one that writes, and so has to lock what it reads.
    """

    # Numbers of this sequence only grow, and it does no harm that arrivals take some.
    number = "nextval('arrivals')"

    def __init__(self, connection: psycopg.Connection, check: Callable[[], object], *, writing: bool) -> None:
        self._connection = connection
        self._check = check
        self.locking = " FOR UPDATE" if writing else ""
        self.changed = False
        """Whether anything was written, which a savepoint may have undone."""

    def version(self) -> StoreVersion:
        self._check()
        return read_version(self._connection)

    def _rows(self, sql: str, bindings: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._check()
        with translated_errors():
            return self._connection.execute(with_placeholders(sql), tuple(bindings)).fetchall()

    def _carry_out(self, sql: str, bindings: Sequence[Any]) -> None:
        self.changed = True
        with translated_errors():
            self._connection.execute(with_placeholders(sql), tuple(bindings))
