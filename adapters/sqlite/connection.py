"""Opening connections: the file, its checks, and the settings every connection has."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from adapters.sqlite.schema import migrate
from core.errors import StoreUnusableError

OLDEST_SQLITE = (3, 51, 3)
"""Older versions can corrupt a WAL when two connections checkpoint at once (https://www.sqlite.org/wal.html)."""

_FILE_HEADER = b"SQLite format 3\0"
"""What every database begins with (https://www.sqlite.org/fileformat2.html#magic_header_string)."""

BUSY_TIMEOUT_MS = 10_000


def open_writer(path: Path) -> apsw.Connection:
    """Open the file for writing, creating it if need be, and bring it to the current schema version.

    Raises:
        StoreUnusableError: the file cannot serve; the message says why in one line.
    """
    with _explained(path):
        _check_place(path)
        connection = _open(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        try:
            _check_writable(connection)
            # Nothing is written into a file of somebody else's, not even the WAL mode in its header.
            connection.pragma("journal_mode")
            migrate(connection)
            connection.pragma("journal_mode", "wal")
        except BaseException:
            connection.close()
            raise
    # An acknowledged run survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.pragma("synchronous", "FULL")
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a file that a writer has opened before, for reading."""
    # Readers of a WAL write to its index, so the connection cannot be opened read-only.
    connection = _open(path, apsw.SQLITE_OPEN_READWRITE)
    connection.pragma("query_only", "ON")
    return connection


def _open(path: Path, flags: int) -> apsw.Connection:
    # Absolute, because SQLite has a meaning of its own for names such as ":memory:".
    connection = apsw.Connection(str(path.absolute()), flags=flags)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    return connection


def _check_place(path: Path) -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnusableError(f"SQLite {apsw.sqlite_lib_version()} is too old; upgrade apsw to {oldest} or newer")
    if not path.parent.is_dir():
        raise StoreUnusableError(f"the directory {path.parent} does not exist; create it first")
    if path.is_dir():
        raise StoreUnusableError("it is a directory; name a file in it")
    # SQLite takes a file of less than a page for an empty database and would write over it.
    if path.exists() and path.stat().st_size and not _starts_like_a_database(path):
        raise apsw.NotADBError


def _starts_like_a_database(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_FILE_HEADER)) == _FILE_HEADER
    except PermissionError as error:
        raise apsw.PermissionsError from error


def _check_writable(connection: apsw.Connection) -> None:
    if connection.readonly("main"):
        raise StoreUnusableError("the file is read-only; make it writable or name another file")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say of every way to fail which file it was about, in one line."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}") from error
    except apsw.NotADBError as error:
        raise StoreUnusableError(f"cannot use {path}: the file is not an SQLite database; name another") from error
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError) as error:
        raise StoreUnusableError(
            f"cannot use {path}: no right to write the file or its directory; change that or name another file"
        ) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreUnusableError(f"cannot use {path}: another process keeps it locked; try again later") from error
    except apsw.FullError as error:
        raise StoreUnusableError(f"cannot use {path}: the disk is full; make room") from error
    except apsw.Error as error:
        raise StoreUnusableError(
            f"cannot use {path}: {error}; the file was left as it is, restore it from a backup"
        ) from error
