"""Opening connections: the checks before it, and the settings every connection has."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from adapters.sqlite import forks
from adapters.sqlite.disk_space import MIB, free_bytes
from adapters.sqlite.file import check_file, create_file, wal_of
from adapters.sqlite.schema import migrate
from core.errors import StoreUnusableError

OLDEST_SQLITE = (3, 51, 3)
"""Older versions can corrupt a WAL when two connections checkpoint at once (https://www.sqlite.org/wal.html)."""

BUSY_TIMEOUT_MS = 10_000

BUSY_PAUSE_SECONDS = 0.0005

WRITER_CACHE_KIB = 32 * 1024
"""The inner pages of every tree and the pages that the merge of keys works on, for some ten million runs."""

WAL_CAP_BYTES = 64 * 1024 * 1024
"""The size at which the WAL is checkpointed whatever else waits."""


class _Patience:
    """Waits for a lock that another process holds, and asks for it often.

    SQLite's own busy timeout soon asks only ten times a second (https://www.sqlite.org/c3ref/busy_timeout.html), and
    hardly ever meets the moment between two commits of a process that has much to write.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = 0.0

    def __call__(self, attempts: int) -> bool:
        """Whether to ask once more, after ``attempts`` times in vain for the same lock."""
        if not attempts:
            self._deadline = time.monotonic() + self._seconds
        time.sleep(BUSY_PAUSE_SECONDS)
        return time.monotonic() < self._deadline


def wait_for_locks(connection: apsw.Connection, milliseconds: int) -> None:
    """Have a connection wait so long for each lock that another one holds."""
    connection.set_busy_handler(_Patience(milliseconds / 1000))


def open_writer(path: Path) -> apsw.Connection:
    """Open the file for writing, creating it if need be, and bring it to the current schema version.

    ``path`` is resolved (``adapters.sqlite.file.resolve``).

    Raises:
        StoreUnusableError: the file cannot serve; the message says why in one line.
    """
    with _explained(path), forks.opening():
        _check_sqlite()
        check_file(path)
        _check_room(path)
        create_file(path)
        left_by_crash = int(wal_of(path).exists())
        connection = _open(path)
        # Closing would work off a WAL that a crash left, and a file that turns out to be damaged is to stay as it is.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left_by_crash)
        try:
            _check_writable(connection)
            _check_tables(connection)
            migrate(connection)
            _use_wal(connection)
        except BaseException:
            connection.close()
            raise
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    # An acknowledged run survives a power cut (https://www.sqlite.org/pragma.html#pragma_synchronous).
    connection.pragma("synchronous", "FULL")
    connection.pragma("cache_size", -WRITER_CACHE_KIB)
    # After a reader has held it up, the WAL's file shrinks again (https://www.sqlite.org/pragma.html).
    connection.pragma("journal_size_limit", WAL_CAP_BYTES)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a file that a writer has opened before, for reading; ``path`` as for the writer."""
    connection = _open(path)
    connection.pragma("query_only", "ON")
    return connection


def _open(path: Path) -> apsw.Connection:
    # Readers of a WAL write to its index, so that no connection can be read-only. None creates the file, for SQLite
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
            f"its disk has {free / MIB:.1f} MiB free and {WAL_CAP_BYTES // MIB} MiB are needed; make room"
        )


def _use_wal(connection: apsw.Connection) -> None:
    """Switch to WAL, which SQLite refuses at once, without its busy timeout, while another process does the same."""
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
    """Find what damage can be found at little cost: SQLite compares the file's size, and each table has to be readable.

    To look at every page takes minutes for a large file; damage elsewhere shows when it is read, as
    ``StoreDamagedError``.
    """
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        connection.execute(f'SELECT * FROM "{name}" LIMIT 1').fetchall()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say of every way to fail which file it was about, in one line."""
    try:
        yield
    except StoreUnusableError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}") from error
    except apsw.NotADBError as error:
        raise StoreUnusableError(f"cannot use {path}: the file is not an SQLite database; name another") from error
    except (PermissionError, apsw.CantOpenError, apsw.PermissionsError, apsw.ReadOnlyError) as error:
        raise StoreUnusableError(
            f"cannot use {path}: no right to write the file or its directory; change that or name another file"
        ) from error
    except OSError as error:
        raise StoreUnusableError(f"cannot use {path}: {error.strerror}; name another file") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise StoreUnusableError(f"cannot use {path}: another process keeps it locked; try again later") from error
    except apsw.FullError as error:
        raise StoreUnusableError(f"cannot use {path}: the disk is full; make room") from error
    except apsw.IOError as error:
        raise StoreUnusableError(f"cannot use {path}: {error}; the disk may be failing") from error
    except apsw.Error as error:
        raise StoreUnusableError(
            f"cannot use {path}: {error}; the file was left as it is, restore it from a backup"
        ) from error
