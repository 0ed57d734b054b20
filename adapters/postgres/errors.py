"""The border between psycopg's errors and the domain's: driver errors are translated, programming errors pass.

Told apart by SQLSTATE, never by text (https://www.postgresql.org/docs/current/errcodes-appendix.html).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg_pool import PoolClosed

from adapters.postgres.privileges import NEEDED_PRIVILEGES
from core.errors import StoreBusyError, StoreClosedError, StoreError, StoreFullError, TransactionConflictError

CONFLICTS = ("40001", "40P01")
"""Serialization failure and deadlock: whoever repeats the whole transaction may succeed at once."""

_NAMED: Final[Mapping[str, tuple[type[StoreError], str]]] = {
    **dict.fromkeys(
        CONFLICTS, (TransactionConflictError, "other transactions keep touching the same runs; send it again")
    ),
    "53100": (StoreFullError, "the disk of the database is full"),
    "42501": (StoreError, f"the role may not do this in the database; {NEEDED_PRIVILEGES}"),
    # A standby takes writes as soon as it is promoted.
    "25006": (StoreBusyError, "the database is read-only, such as a standby; connect to one that takes writes"),
}
_BUSY = ("08", "25P03", "25P04", "40003", "53", "55P03", "57")
"""Connections lost or refused, a lock or a statement that took too long, a database that starts, stops or has no
resources left."""


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
    if state in _NAMED:
        kind, message = _NAMED[state]
        return kind(message)
    if state.startswith(_BUSY) or (isinstance(error, psycopg.OperationalError) and not state):
        return StoreBusyError("the database cannot be reached or is overloaded; send it again in a moment")
    if isinstance(error, (psycopg.ProgrammingError, psycopg.IntegrityError, psycopg.DataError)):
        return None
    return StoreError(f"the database failed: {error}")
