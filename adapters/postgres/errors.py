"""The border between psycopg's errors and the domain's: driver errors are translated, programming errors pass.

Told apart by SQLSTATE, never by text (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg_pool import PoolClosed

from core.errors import StoreBusyError, StoreClosedError, StoreError, StoreFullError, TransactionConflictError

CONFLICTS = ("40001", "40P01")
"""Serialization failure and deadlock: whoever repeats the whole transaction may succeed at once."""

_FULL = "53100"
_BUSY = ("08", "25006", "25P03", "25P04", "40003", "53", "55P03", "57")
"""Connections lost or refused, a standby that takes no writes, a lock or a statement that took too long, a database
that starts, stops or has no resources left."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise psycopg's errors as ``StoreError``."""
    try:
        yield
    except psycopg.Error as error:
        translated = _translate(error)
        if translated is None:
            raise
        raise translated from error


def _translate(error: psycopg.Error) -> StoreError | None:
    """``None`` for what only a mistake in the program can cause."""
    if isinstance(error, PoolClosed):
        return StoreClosedError()
    state = error.sqlstate or ""
    if state in CONFLICTS:
        return TransactionConflictError("other transactions keep touching the same runs; send it again")
    if state == _FULL:
        return StoreFullError("the disk of the database is full")
    if state.startswith(_BUSY) or (isinstance(error, psycopg.OperationalError) and not state):
        return StoreBusyError("the database cannot be reached or is overloaded; send it again in a moment")
    if isinstance(error, (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError)):
        return None
    return StoreError(f"the database failed: {error}")
