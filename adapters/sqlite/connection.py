"""Opening connections: the checks beforehand, and the settings of every connection."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from adapters.sqlite import forks
from adapters.sqlite.disk_space import MIB, free_bytes
from adapters.sqlite.file import check_file, create_file, wal_of
from adapters.sqlite.schema import VERSION, differences, migrate
from core.errors import StoreUnusableError

OLDEST_SQLITE = (3, 51, 3)
"""Older versions can corrupt a WAL when two connections checkpoint at once (https://www.sqlite.org/wal.html)."""

BUSY_TIMEOUT_MS = 10_000

BUSY_PAUSE_SECONDS = 0.0005

WRITER_CACHE_KIB = 26 * 1024
"""The inner pages of every tree and the pages that the key merge works on, for about ten million runs.

With 32 MiB, a batch of 1000 reads a twentieth fewer of its 1,400 pages at that size, and takes as long.
"""

WAL_CAP_BYTES = 64 * 1024 * 1024
"""The size at which the WAL is checkpointed even if writes are pending."""


class _BusyHandler:
    """Waits for a lock that another process holds, and retries often.

    SQLite's own busy timeout soon retries only ten times a second (https://www.sqlite.org/c3ref/busy_timeout.html), and
    rarely catches the moment between two commits of a busy writer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = 0.0

    def __call__(self, attempts: int) -> bool:
        """Return whether to retry, after ``attempts`` failed attempts for the same lock."""
        if not attempts:
            self._deadline = time.monotonic() + self._seconds
        time.sleep(BUSY_PAUSE_SECONDS)
        return time.monotonic() < self._deadline


def wait_for_locks(connection: apsw.Connection, milliseconds: int) -> None:
    """Make a connection wait this long for each lock that another one holds."""
    connection.set_busy_handler(_BusyHandler(milliseconds / 1000))


def open_writer(path: Path) -> apsw.Connection:
    """Open the file for writing, creating it if missing, and migrate it to the current schema version.

    ``path`` is resolved (``adapters.sqlite.file.resolve``).

    Raises:
        StoreUnusableError: the file cannot be used; the message says why in one line.
    """
    with _explain_errors(path), forks.opening():
        _check_sqlite()
        check_file(path)
        _check_room(path)
        create_file(path)
        left_by_crash = int(wal_of(path).exists())
        connection = open_existing(path)
        # Closing would checkpoint a WAL left by a crash, but a file that turns out to be damaged must stay unchanged.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_by_crash)
        try:
            _check_writable(connection)
            _check_tables(connection)
            migrate(connection)
            _check_layout(connection)
            use_wal(connection)
        except BaseException:
            connection.close()
            raise
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    # An acknowledged run survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -WRITER_CACHE_KIB)
    # After a reader has held up checkpoints, the WAL file shrinks again (https://www.sqlite.org/pragma.html).
    connection.pragma("journal_size_limit", WAL_CAP_BYTES)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a file for reading that a writer has opened before; ``path`` as in ``open_writer``."""
    connection = open_existing(path)
    connection.pragma("query_only", "ON")
    return connection


def open_existing(path: Path) -> apsw.Connection:
    """Open a file that exists, to read and write; raise ``apsw.Error``."""
    # Readers of a WAL write to its index, so no connection can be read-only. None creates the file, because SQLite
    # would make it readable by every user.
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    forks.note_opened(connection)
    wait_for_locks(connection, BUSY_TIMEOUT_MS)
    return connection


def _check_sqlite() -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise StoreUnusableError(f"SQLite {apsw.sqlite_lib_version()} is too old; upgrade apsw to {oldest} or newer")


def _check_room(path: Path) -> None:
    free = free_bytes(path)
    if free < WAL_CAP_BYTES:
        raise StoreUnusableError(
            f"its disk has {free / MIB:.1f} MiB free but {WAL_CAP_BYTES // MIB} MiB are required; free up space"
        )


def use_wal(connection: apsw.Connection) -> None:
    """Switch to WAL. SQLite fails at once, ignoring its busy timeout, while another process does the same."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _check_writable(connection: apsw.Connection) -> None:
    if connection.readonly("main"):
        raise StoreUnusableError("the file is read-only; make it writable or name another file")


def _check_tables(connection: apsw.Connection) -> None:
    """Find the damage that is cheap to find: SQLite compares the file's size, and each table must be readable.

    Checking every page takes minutes for a large file. Other damage raises ``StoreDamagedError`` when it is read.
    """
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchall()


def _check_layout(connection: apsw.Connection) -> None:
    """Refuse tables that only look like those of this version, instead of failing at the first upload."""
    for difference in differences(connection):
        raise StoreUnusableError(
            f"it says that it has schema version {VERSION} but {difference}; if a development version of runsink made "
            "it, `runsink export` its runs with that version, otherwise restore it from a backup"
        )


@contextmanager
def _explain_errors(path: Path) -> Iterator[None]:
    """Raise every error as a one-line ``StoreUnusableError`` that names the file."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}", retryable=error.retryable) from error
    except apsw.NotADBError as error:
        raise StoreUnusableError(f"cannot use {path}: the file is not an SQLite database; name another") from error
    except (PermissionError, apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError) as error:
        raise StoreUnusableError(
            f"cannot use {path}: no permission to write the file or its directory; grant it or name another file"
        ) from error
    except OSError as error:
        raise StoreUnusableError(f"cannot use {path}: {error.strerror}; name another file") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreUnusableError(
            f"cannot use {path}: it is locked by another process; try again later", retryable=True
        ) from error
    except apsw.FullError as error:
        raise StoreUnusableError(f"cannot use {path}: the disk is full; free up space") from error
    except apsw.IOError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}; the disk may be failing") from error
    except apsw.Error as error:
        raise StoreUnusableError(
            f"cannot use {path}: {error}; the file was left unchanged; restore it from a backup"
        ) from error
