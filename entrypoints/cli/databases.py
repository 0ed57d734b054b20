"""Databases that commands open, and the exit statuses of what can go wrong with them."""

from pathlib import Path

from core.errors import StoreBusyError, StoreError, StoreTimeoutError, StoreUnusableError
from core.ports.store import Store
from entrypoints.database_urls import is_url
from entrypoints.databases import DatabaseNameError, open_database
from entrypoints.exits import REJECTED, UNAVAILABLE, WRONG_USAGE


def open_existing(database: str) -> Store:
    """Open a store; unlike a server, create no file.

    Raises:
        DatabaseNameError: there is no such file, or the text names no database.
        StoreUnusableError: the store cannot be used.
    """
    if not is_url(database) and not Path(database).is_file():
        raise DatabaseNameError(f"cannot use {database!r}: there is no such file")
    return open_database(database)


def status_of(error: StoreError) -> int:
    """Return the exit status of a command whose store failed."""
    if isinstance(error, DatabaseNameError):
        return WRONG_USAGE
    is_temporary = error.retryable if isinstance(error, StoreUnusableError) else _is_busy(error)
    return UNAVAILABLE if is_temporary else REJECTED


def _is_busy(error: StoreError) -> bool:
    return isinstance(error, (StoreBusyError, StoreTimeoutError))
