"""Translating psycopg's errors to the core's; programming errors pass through.

Errors are distinguished by SQLSTATE, never by text (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg_pool import PoolClosed

from adapters.postgres.privileges import NEEDED_PRIVILEGES
from core.errors import StoreBusyError, StoreClosedError, StoreError, StoreFullError, TransactionConflictError

ROLLED_BACK: Final = "the database rolled back the transaction"

CONFLICTS = ("40001", "40P01")
"""Serialization failure and deadlock: retrying the whole transaction may succeed at once."""

_NAMED: Final[Mapping[str, tuple[type[StoreError], str]]] = {
    **dict.fromkeys(CONFLICTS, (TransactionConflictError, "other transactions keep changing the same runs; retry")),
    # A statement after one that failed.
    "25P02": (StoreError, ROLLED_BACK),
    "53100": (StoreFullError, "the disk of the database is full"),
    "42501": (StoreError, f"the role lacks a privilege in the database; {NEEDED_PRIVILEGES}"),
    # A standby accepts writes once it is promoted.
    "25006": (StoreBusyError, "the database is read-only, such as a standby; connect to one that accepts writes"),
}
_BUSY = ("08", "25P03", "25P04", "40003", "53", "55P03", "57")
"""A lost or refused connection, a lock or statement timeout, a database that is starting, stopping or out of
resources."""


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
    """Return the translated error, or ``None`` if only a programming error can cause it."""
    if isinstance(error, PoolClosed):
        return StoreClosedError()
    state = error.sqlstate or ""
    if state in _NAMED:
        kind, message = _NAMED[state]
        return kind(message)
    if state.startswith(_BUSY) or (isinstance(error, psycopg.OperationalError) and not state):
        return StoreBusyError("the database cannot be reached or is overloaded; retry in a moment")
    if isinstance(error, (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError)):
        return None
    # The detail and the context of a message may quote stored values; its primary part does not.
    return StoreError(f"the database failed: {error.diag.message_primary or type(error).__name__}")
