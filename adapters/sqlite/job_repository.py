"""The job repository over SQLite."""

from collections.abc import Sequence
from typing import Any, cast

import apsw

from adapters.sql_jobs import SqlJobRepository
from adapters.sqlite.arrivals import read_version
from adapters.sqlite.errors import translated_errors
from core.model.store_version import StoreVersion


class SqliteJobRepository(SqlJobRepository):
    """The jobs as one connection sees them."""

    number = "(SELECT coalesce(max(number), 0) + 1 FROM jobs)"
    locking = ""  # the unit of work holds the lock to write

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def version(self) -> StoreVersion:
        return read_version(self._connection)

    def _rows(self, sql: str, bindings: Sequence[Any]) -> list[tuple[Any, ...]]:
        with translated_errors(self._connection):
            return cast(list[tuple[Any, ...]], self._connection.execute(sql, tuple(bindings)).fetchall())

    def _carry_out(self, sql: str, bindings: Sequence[Any]) -> None:
        with translated_errors(self._connection):
            self._connection.execute(sql, tuple(bindings))
